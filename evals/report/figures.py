"""Every figure of a report, from a run's results.  Pure; what each means: docs/reports.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

import numpy as np

from coterie.errors import ConfigurationError
from coterie.task_names import spelled
from evals.compare import by_item, check_alike
from evals.report.baselines import Bench, Row, System, best_single
from evals.report.expert_figures import ExpertFigures, expert_figures
from evals.report.systems import bench_of, systems_of
from evals.results import Call, ItemResult, RunInfo, RunResult
from evals.spending import Unit, mean_calls, mean_spent, unit_of
from evals.stats import Calibration, Rate, calibration, rate

BINS = 10


@dataclass(frozen=True, slots=True)
class Summary:
    """The run in a few numbers.

    A parked item has no answer and counts as wrong.  ``unparsed`` items were answered, but nothing
    could be read from the answer; ``answers`` counts the experts' own, ``unread`` those of them
    nothing could be read from.  ``cost`` is the mean of a question in ``unit``, as if nothing had
    been stored before; ``cost_usd`` and ``paid_usd`` are sums, the latter without reused answers.
    """

    accuracy: Rate
    parked: int
    unparsed: int
    answers: int
    unread: int
    calls: float
    most_calls: int
    unit: Unit
    cost: float
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    paid_usd: float
    reused: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CategoryFigures:
    """One of the task's categories; ``calls`` and ``cost`` are means of a question.

    ``best_single`` is how the best single expert did on it, None where that is not known.
    """

    category: str
    accuracy: Rate
    best_single: Rate | None
    parked: int
    unparsed: int
    calls: float
    cost: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Where time went: seconds, and their share of all stages'."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class Parked:
    """An item nobody could answer, and why."""

    item: str
    category: str
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """A run's report; ``systems`` begins with the run itself.

    ``expected`` is the calibration of the success that routes foretold, ``agreement`` of the
    agreement of votes; None where a run has none.
    """

    info: RunInfo
    summary: Summary
    systems: tuple[System, ...]
    experts: tuple[ExpertFigures, ...]
    categories: tuple[CategoryFigures, ...]
    expected: Calibration | None
    agreement: Calibration | None
    stages: tuple[Stage, ...]
    parked: tuple[Parked, ...]
    notes: tuple[str, ...]


def report(
    run: RunResult, others: Sequence[RunResult] = (), *, validation: RunResult | None = None
) -> Report:
    """The figures of ``run``.

    ``others`` are runs of the same task and split to compare it with; where they asked experts that
    this run did not ask, baselines use those answers.  On ``validation``, a run of other questions
    that everybody was asked, the best single expert and the static mix are chosen.  Raises
    :class:`ConfigurationError` for runs of something else.
    """
    check_alike([run, *others])
    for one in (run, *others):
        by_item(one)
    if validation is not None and spelled(validation.info.task) != spelled(run.info.task):
        raise ConfigurationError(
            f"run {validation.info.id!r} is of the task {validation.info.task!r}: experts for "
            f"{run.info.task!r} can be chosen on a run of that task only"
        )
    unit = unit_of([run, *others])
    bench, notes = bench_of(run, others, validation, unit)
    return Report(
        run.info,
        _summary(run, unit),
        systems_of(run, others, bench, unit),
        expert_figures(run, unit),
        _categories(run.items, unit, bench),
        _calibration(run.items, [item.expected for item in run.items]),
        _calibration(run.items, [item.agreement for item in run.items]),
        _stages(run.info),
        tuple(Parked(i.item, i.category, i.error) for i in run.items if i.error is not None),
        notes,
    )


def _summary(run: RunResult, unit: Unit) -> Summary:
    calls = [call for item in run.items for call in item.calls]
    answers = [call for call in calls if call.role == "answer"]
    return Summary(
        accuracy=rate([item.correct for item in run.items]),
        parked=sum(item.error is not None for item in run.items),
        unparsed=_unparsed(run.items),
        answers=len(answers),
        unread=sum(call.extracted is None for call in answers),
        calls=mean_calls(run.items),
        most_calls=max((len(item.calls) for item in run.items), default=0),
        unit=unit,
        cost=mean_spent(run.items, unit),
        prompt_tokens=sum(call.prompt_tokens for call in calls),
        completion_tokens=sum(call.completion_tokens for call in calls),
        cost_usd=_dollars(calls),
        paid_usd=_dollars(call for call in calls if not call.reused),
        reused=sum(call.reused for call in calls),
        seconds=_wall(run.info),
    )


def _unparsed(items: Iterable[ItemResult]) -> int:
    return sum(item.extracted is None and item.error is None for item in items)


def _dollars(calls: Iterable[Call]) -> float:
    return float(sum(call.cost_usd for call in calls))


def _wall(info: RunInfo) -> float | None:
    """Seconds from start to end; None where either is not known."""
    try:
        start, end = (datetime.fromisoformat(t) for t in (info.started, info.finished or ""))
        return (end - start).total_seconds()
    except (ValueError, TypeError):
        return None


def _categories(
    items: Sequence[ItemResult], unit: Unit, bench: Bench
) -> tuple[CategoryFigures, ...]:
    """The largest first."""
    found: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        found.setdefault(item.category, []).append(row)
    ordered = sorted(found.items(), key=lambda category: (-len(category[1]), category[0]))
    best = best_single(bench)
    single = None if best is None else bench.evidence.right[:, best]
    return tuple(
        _category(
            name, [items[row] for row in rows], unit, None if single is None else single[rows]
        )
        for name, rows in ordered
    )


def _category(
    name: str, items: Sequence[ItemResult], unit: Unit, single: Row | None
) -> CategoryFigures:
    known = None if single is None else single[~np.isnan(single)] == 1
    return CategoryFigures(
        category=name,
        accuracy=rate([item.correct for item in items]),
        best_single=None if known is None or not len(known) else rate(known),
        parked=sum(item.error is not None for item in items),
        unparsed=_unparsed(items),
        calls=mean_calls(items),
        cost=mean_spent(items, unit),
    )


def _calibration(
    items: Sequence[ItemResult], foretold: Sequence[float | None]
) -> Calibration | None:
    """Of answered items only: a route foretells whether an answer is right, not outages."""
    pairs = [
        (min(1.0, max(0.0, chance)), item.correct)
        for item, chance in zip(items, foretold, strict=True)
        if chance is not None and isfinite(chance) and item.error is None
    ]
    return calibration([p for p, _ in pairs], [right for _, right in pairs], bins=BINS)


def _stages(info: RunInfo) -> tuple[Stage, ...]:
    """The longest first."""
    whole = sum(info.seconds.values()) or 1.0
    ordered = sorted(info.seconds.items(), key=lambda stage: (-stage[1], stage[0]))
    return tuple(Stage(name, seconds, seconds / whole) for name, seconds in ordered)
