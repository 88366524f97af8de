"""What each expert answered on its own, item by item: what baselines are made of.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.results import Call, RunResult
from evals.spending import Unit, spent

ENOUGH = 0.95
"""A system is compared with the run only if its answers to this share of the questions are known:
an expert that was asked where it is good is not as good everywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The own graded answers of ``e`` experts to the ``q`` items of a run.

    ``right`` (q, e): 1.0, 0.0, NaN where no graded answer is known; ``answers`` (q, e): what was
    read out of them, None for nothing; ``costs`` (q, e): of that one call, NaN where there is none;
    ``parked`` (q): items without an answer.
    """

    experts: tuple[str, ...]
    right: NDArray[np.float64]
    answers: NDArray[np.object_]
    costs: NDArray[np.float64]
    parked: NDArray[np.bool_]

    def enough(self, known: NDArray[np.bool_]) -> bool:
        """Whether ``known`` (q) items are nearly all that were answered."""
        answered = known[~self.parked]
        return len(answered) > 0 and float(answered.mean()) >= ENOUGH


def gather(run: RunResult, others: Sequence[RunResult], unit: Unit) -> Evidence:
    """The run's own graded calls, and where it has none of an expert those of ``others``.

    Of several answers of one expert to one item the first counts.
    """
    experts = run.info.experts
    rows = {item.item: row for row, item in enumerate(run.items)}
    columns = {name: column for column, name in enumerate(experts)}
    shape = (len(rows), len(experts))
    right, costs = np.full(shape, np.nan), np.full(shape, np.nan)
    answers = np.full(shape, None, dtype=object)
    for item, call in _graded(run, others):
        row, column = rows.get(item), columns.get(call.expert)
        if row is None or column is None or not np.isnan(right[row, column]):
            continue
        right[row, column] = float(bool(call.correct))
        answers[row, column] = call.extracted
        costs[row, column] = spent(call, unit)
    parked = np.array([item.error is not None for item in run.items], dtype=bool)
    return Evidence(experts, right, answers, costs, parked)


def _graded(run: RunResult, others: Sequence[RunResult]) -> Iterator[tuple[str, Call]]:
    for one in (run, *others):
        for item in one.items:
            for call in item.calls:
                if call.role == "answer" and call.correct is not None:
                    yield item.item, call
