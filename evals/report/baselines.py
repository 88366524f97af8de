"""What a run has to beat: other ways of using the same experts' answers.  Pure.

Each is a row of outcomes over the run's items, so that all are compared in one way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from evals.report.evidence import Evidence
from evals.stats import Difference, McNemar, Rate, mcnemar, paired_difference, wilson

BEST = "best single: "
"""What the best single expert's name begins with."""

Row = NDArray[np.float64]
"""(q) a chance of being right on each item; NaN where it is not known."""


class Kind(StrEnum):
    """What a system is."""

    RUN = "run"
    EXPERT = "expert"
    """One expert, asked alone."""
    BASELINE = "baseline"
    """Something that could be had without routing."""
    CEILING = "ceiling"
    """What no router can beat: it knows which answer is right."""
    OTHER = "other"
    """Another run."""


@dataclass(frozen=True, slots=True)
class Versus:
    """The run minus a system, on the ``n`` questions both have.

    ``mcnemar`` is None for a mixture: it has chances, not outcomes.
    """

    n: int
    difference: Difference
    mcnemar: McNemar | None


@dataclass(frozen=True, slots=True)
class System:
    """One way to answer the questions; ``cost`` and ``calls`` are means of a question.

    ``note`` says how it was made or chosen.
    """

    name: str
    kind: Kind
    accuracy: Rate
    cost: float | None
    calls: float
    versus: Versus | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """The run's outcomes (q), and what its experts answered.

    ``chosen_by`` (e) is each expert's accuracy on other questions, NaN where it is not known; None
    where there are no others.
    """

    right: NDArray[np.bool_]
    cost: float
    evidence: Evidence
    chosen_by: Row | None
    chosen_on: str
    seed: int

    def system(
        self,
        name: str,
        kind: Kind,
        row: Row,
        *,
        cost: float | None,
        calls: float,
        note: str = "",
        drawn: bool = False,
    ) -> System:
        """A system from its row of outcomes, compared with the run where it has any.

        ``drawn``: the row holds chances of a choice that is left to luck.
        """
        known = ~np.isnan(row)
        mine, theirs = self.right[known], row[known]
        accuracy = wilson(float(theirs.sum()) if drawn else int(theirs.sum()), len(theirs))
        if not len(theirs):
            return System(name, kind, accuracy, cost, calls, None, note)
        gain = paired_difference(mine, theirs, seed=self.seed)
        test = None if drawn else mcnemar(mine, theirs == 1)
        return System(name, kind, accuracy, cost, calls, Versus(len(theirs), gain, test), note)


def alone(bench: Bench) -> tuple[System, ...]:
    """Every expert whose answers to nearly all items are known, the most accurate first."""
    found = [_expert(bench, column, Kind.EXPERT) for column in _comparable(bench.evidence)]
    return tuple(sorted(found, key=lambda s: (-s.accuracy.mean, s.name)))


def baselines(bench: Bench) -> tuple[System, ...]:
    """All that the known answers suffice for."""
    makers = (_best_single, _majority, _random, _mix, _oracle)
    return tuple(system for make in makers if (system := make(bench)) is not None)


def _comparable(evidence: Evidence) -> list[int]:
    columns = range(len(evidence.experts))
    return [c for c in columns if evidence.enough(~np.isnan(evidence.right[:, c]))]


def _expert(
    bench: Bench, column: int, kind: Kind, name: str | None = None, note: str = ""
) -> System:
    cost = _mean(bench.evidence.costs[:, column])
    name = bench.evidence.experts[column] if name is None else name
    row = bench.evidence.right[:, column]
    return bench.system(name, kind, row, cost=cost, calls=1.0, note=note)


def best_single(bench: Bench) -> int | None:
    """The column of the expert a sensible person would ask: the best on other questions, if there
    are any; None where nobody can be compared."""
    scores = np.nan_to_num(_scores(bench), nan=-1.0)
    return max(_comparable(bench.evidence), key=lambda c: (scores[c], -c), default=None)


def _best_single(bench: Bench) -> System | None:
    best = best_single(bench)
    if best is None:
        return None
    name = f"{BEST}{bench.evidence.experts[best]}"
    return _expert(bench, best, Kind.BASELINE, name, f"chosen on {bench.chosen_on}")


def _scores(bench: Bench) -> Row:
    """(e) what experts are chosen by."""
    if bench.chosen_by is not None:
        return bench.chosen_by
    return np.array([_mean(column, nothing=np.nan) for column in bench.evidence.right.T])


def _all_known(evidence: Evidence) -> NDArray[np.bool_] | None:
    """(q) the items everybody's answer to is known; None where these are too few."""
    if not evidence.experts:
        return None
    known = np.asarray(~np.isnan(evidence.right).any(axis=1))
    return known if evidence.enough(known) else None


def _majority(bench: Bench) -> System | None:
    """One vote each; a tie goes to the answer whose first voter is first among the experts."""
    evidence = bench.evidence
    known = _all_known(evidence)
    if known is None or all(answer is None for answer in evidence.answers.flat):
        return None
    row = np.full(len(known), np.nan)
    for place in np.flatnonzero(known):
        answers, right = evidence.answers[place], evidence.right[place]
        votes = Counter(answer for answer in answers if answer is not None)
        # Counters keep the order of arrival among equals.
        leader = votes.most_common(1)[0][0] if votes else None
        row[place] = float(bool(votes) and bool(right[answers == leader].any()))
    return _everybody(bench, "majority of all", Kind.BASELINE, row, "every expert asked")


def _oracle(bench: Bench) -> System | None:
    evidence = bench.evidence
    known = _all_known(evidence)
    if known is None:
        return None
    row = np.where(known, (evidence.right == 1).any(axis=1).astype(float), np.nan)
    note = "every expert asked, and whoever is right believed"
    return _everybody(bench, "any expert right", Kind.CEILING, row, note)


def _everybody(bench: Bench, name: str, kind: Kind, row: Row, note: str) -> System:
    """A system that asks all experts every question."""
    costs = bench.evidence.costs[~np.isnan(row)].sum(axis=1)
    calls = float(len(bench.evidence.experts))
    return bench.system(name, kind, row, cost=float(costs.mean()), calls=calls, note=note)


def _random(bench: Bench) -> System | None:
    evidence = bench.evidence
    known = _all_known(evidence)
    if known is None:
        return None
    row = np.where(known, evidence.right.mean(axis=1), np.nan)
    cost = float(evidence.costs[known].mean())
    note = "one expert drawn anew for every question: the expectation"
    return bench.system(
        "random expert", Kind.BASELINE, row, cost=cost, calls=1.0, note=note, drawn=True
    )


def _mix(bench: Bench) -> System | None:
    """Two experts by the toss of a coin, as dear as the run: what routing has to beat at its cost.

    Of all mixtures that cost no more than the run, the most accurate.
    """
    evidence = bench.evidence
    columns = _comparable(evidence)
    if len(columns) < 2:
        return None
    costs = [_mean(evidence.costs[:, c]) for c in columns]
    scores = np.nan_to_num(_scores(bench)[columns], nan=-1.0)
    found = mixture(scores, np.array(costs), bench.cost)
    if found is None:
        return None
    one, two, share = found
    first, second = columns[one], columns[two]
    row = share * evidence.right[:, first] + (1 - share) * evidence.right[:, second]
    cost = share * costs[one] + (1 - share) * costs[two]
    names = evidence.experts
    parts = {names[first]: share, names[second]: 1 - share}
    said = ", ".join(f"{part:.0%} {name}" for name, part in parts.items() if part > 0)
    note = f"{said}; chosen on {bench.chosen_on}"
    return bench.system(
        "static mix at this cost", Kind.BASELINE, row, cost=cost, calls=1.0, note=note, drawn=True
    )


def mixture(
    scores: Sequence[float] | Row, costs: Sequence[float] | Row, budget: float
) -> tuple[int, int, float] | None:
    """The best mixture of two experts whose mean cost is at most ``budget``.

    Returns (first, second, share of the first), or None where even the cheapest costs more.  A
    linear program with two constraints has a solution with two experts at most, so all pairs are
    all there is to try.
    """
    best: tuple[float, int, int, float] | None = None
    for one in range(len(scores)):
        for two in range(len(scores)):
            share = _share(costs[one], costs[two], budget)
            if share is None:
                continue
            score = share * scores[one] + (1 - share) * scores[two]
            if best is None or score > best[0] + 1e-12:
                best = (score, one, two, share)
    return best[1:] if best else None


def _share(one: float, two: float, budget: float) -> float | None:
    """How much of the first, cheaper expert lets the second be afforded otherwise."""
    if one > budget or one > two:
        return None
    return 0.0 if two <= budget else float((two - budget) / (two - one))


def _mean(values: Row, nothing: float = 0.0) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else nothing
