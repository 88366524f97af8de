"""The run, what it has to beat, and other runs, in one list.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evals.compare import by_item, run_names
from evals.report.baselines import Bench, Kind, Row, System, alone, baselines
from evals.report.evidence import gather
from evals.results import RunResult
from evals.spending import Unit, mean_calls, mean_spent
from evals.stats import rate


def bench_of(
    run: RunResult, others: Sequence[RunResult], validation: RunResult | None, unit: Unit
) -> tuple[Bench, tuple[str, ...]]:
    """What systems are made from, and what a reader must know about it."""
    chosen_by, chosen_on, notes = None, "these very questions, which flatters it", []
    if validation is not None:
        chosen_by = _accuracies(validation, run.info.experts)
        chosen_on = f"{validation.info.split or 'another split'} ({validation.info.id})"
        if twice := len(by_item(validation).keys() & by_item(run).keys()):
            notes.append(
                f"{twice} of the questions the best single expert was chosen on are among these: "
                "it is flattered by them"
            )
    bench = Bench(
        right=np.array([item.correct for item in run.items], dtype=bool),
        cost=mean_spent(run.items, unit),
        evidence=gather(run, others, unit),
        chosen_by=chosen_by,
        chosen_on=chosen_on,
        seed=run.info.seed % 2**32,
    )
    if run.items and not alone(bench):
        notes.append(
            "no expert answered (nearly) all of these questions on its own here, so that no "
            "baseline can be computed: add a run that asks everybody"
        )
    return bench, tuple(notes)


def _accuracies(run: RunResult, experts: Sequence[str]) -> Row:
    """(e) each expert's accuracy over ``run``, a missing answer counting as wrong."""
    right = dict.fromkeys(experts, 0)
    for item in run.items:
        seen = {c.expert: c.correct for c in reversed(item.calls) if c.role == "answer"}
        for name in seen.keys() & right.keys():
            right[name] += bool(seen[name])
    return np.array([right[name] for name in experts], dtype=float) / max(1, len(run.items))


def systems_of(
    run: RunResult, others: Sequence[RunResult], bench: Bench, unit: Unit
) -> tuple[System, ...]:
    """The run, baselines and ceilings, each expert alone, other runs."""
    names = run_names([one.info for one in (run, *others)])
    accuracy = rate([item.correct for item in run.items])
    mine = System(names[0], Kind.RUN, accuracy, bench.cost, mean_calls(run.items))
    more = [
        _other(bench, run, other, name, unit) for other, name in zip(others, names[1:], strict=True)
    ]
    return (mine, *baselines(bench), *_asked_ceiling(bench, run), *alone(bench), *more)


def _asked_ceiling(bench: Bench, run: RunResult) -> tuple[System, ...]:
    """What the best possible vote would make of the answers that were asked for."""
    rows = [[c.correct for c in item.calls if c.role == "answer"] for item in run.items]
    if any(grade is None for row in rows for grade in row) or max(map(len, rows), default=0) < 2:
        return ()
    row = np.array([float(any(grades)) for grades in rows])
    note = "whoever of those asked was right believed"
    calls = mean_calls(run.items)
    return (
        bench.system("any asked right", Kind.CEILING, row, cost=bench.cost, calls=calls, note=note),
    )


def _other(bench: Bench, run: RunResult, other: RunResult, name: str, unit: Unit) -> System:
    items = by_item(other)
    row = np.array([float(items[i.item].correct) if i.item in items else np.nan for i in run.items])
    shared = [items[i.item] for i in run.items if i.item in items]
    return bench.system(
        name,
        Kind.OTHER,
        row,
        cost=mean_spent(shared, unit),
        calls=mean_calls(shared),
        note=f"run {other.info.id}",
    )
