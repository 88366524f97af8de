"""The figures of a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evals.stats import paired_difference, rate
from orchestrator.replay.cost import call_costs, mean_cost
from orchestrator.replay.material import Material
from orchestrator.replay.session import Run

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Versus:
    """How much more accurate than another on the same questions (95 %, paired bootstrap)."""

    delta: float
    ci95: Interval


@dataclass(frozen=True, slots=True)
class Result:
    """How one strategy did on the test split.

    ``ci95`` is Wilson's; ``mean_cost`` is None where a part of it is not known; ``unparsed_share``
    is the share of the answers it was given that nothing could be read from, None where nobody
    tried to read any.
    """

    strategy: str
    vote: str | None
    accuracy: float
    ci95: Interval
    mean_calls: float
    max_calls: int
    mean_cost: float | None
    vs_best_single: Versus
    unparsed_share: float | None


@dataclass(frozen=True, slots=True)
class BestSingle:
    """The one expert a sensible person would ask: the most accurate on the profile split."""

    expert: str
    accuracy: float
    ci95: Interval
    mean_cost: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """A whole replay; ``oracle`` is how often any expert was right, ``notes`` are for people."""

    benchmark: str
    n: int
    experts: tuple[str, ...]
    profile_n: int
    results: tuple[Result, ...]
    best_single: BestSingle
    oracle: float
    notes: tuple[str, ...] = ()


class Reporter:
    """Makes the figures of the questions ``test``; what has to be chosen comes from ``profile``."""

    def __init__(
        self,
        material: Material,
        profile: NDArray[np.intp],
        test: NDArray[np.intp],
        *,
        seed: int = 0,
    ) -> None:
        self._material, self._profile, self._test, self._seed = material, profile, test, seed
        self.costs = call_costs(material, profile)

    @cached_property
    def _best(self) -> int:
        """The column of the best single expert; an answer that is missing counts as wrong."""
        correct = self._material.recording.correct[self._profile]
        return int((correct == 1).sum(axis=0).argmax())

    @cached_property
    def best_single_profile_cost(self) -> float:
        """What one of its answers costs on average, on the profile split; 1 where it is free."""
        return float(self.costs[self._profile, self._best].mean()) or 1.0

    @cached_property
    def _best_right(self) -> NDArray[np.bool_]:
        return np.asarray(self._material.recording.correct[self._test, self._best] == 1)

    def result(self, strategy: str, vote: str | None, found: Run) -> Result:
        """The figures of one strategy's run."""
        accuracy = rate(found.right)
        gain = paired_difference(found.right, self._best_right, seed=self._seed)
        calls = found.asked.sum(axis=1)
        return Result(
            strategy,
            vote,
            accuracy.mean,
            (accuracy.low, accuracy.high),
            float(calls.mean()),
            int(calls.max()),
            mean_cost(found.asked, found.rows, self.costs),
            Versus(gain.mean, (gain.low, gain.high)),
            self._unparsed(found),
        )

    def report(self, results: Sequence[Result], notes: Sequence[str] = ()) -> Report:
        """The whole, around the results."""
        r = self._material.recording
        correct = r.correct[self._test] == 1
        return Report(
            r.benchmark,
            len(self._test),
            r.experts,
            len(self._profile),
            tuple(results),
            self._best_single(),
            float(correct.any(axis=1).mean()),
            tuple(notes),
        )

    def _best_single(self) -> BestSingle:
        accuracy = rate(self._best_right)
        costs = float(self.costs[self._test, self._best].mean())
        return BestSingle(
            self._material.recording.experts[self._best],
            accuracy.mean,
            (accuracy.low, accuracy.high),
            None if np.isnan(costs) else costs,
        )

    def _unparsed(self, found: Run) -> float | None:
        r = self._material.recording
        if not r.readable:
            return None
        given = np.where(np.isnan(r.correct[found.rows]), 0, found.asked)
        unread = np.where(r.answers[found.rows] == "", given, 0)
        return float(unread.sum() / given.sum()) if given.sum() else None
