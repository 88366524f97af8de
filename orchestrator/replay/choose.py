"""Which vote, and which strategy: what surely cross-validates best on the profile split.

In every fold all that is learned (profiles, fitted votes, whatever strategies derive) is learned
anew without the questions it is tried on.

The best of many trials is partly the luckiest, and the fewer the questions the more so.  So what
needs no trial stands by (the first vote; for strategies, asking the best single expert), and
another is worth its mean gain over that *minus one standard error* of the gain, paired by question:
the one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984, section
3.4.3), applied to differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError
from orchestrator.replay.cost import spent
from orchestrator.replay.lesson import Lesson, divided
from orchestrator.replay.session import Run, run
from orchestrator.routing import BEST_SINGLE, Policy, load_router


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy with its vote, and its cross-validated accuracy."""

    strategy: str
    vote: str
    accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """How a choice did: ``worth``, (q), of each question to the policy's objective.

    That is 1 for a right answer, minus ``cost_weight`` × its cost in answers of the best single
    expert.
    """

    choice: Choice
    worth: NDArray[np.float64]

    def sure_gain(self, standby: Trial) -> float:
        """The mean gain over ``standby``, less its standard error."""
        gain = self.worth - standby.worth
        if len(gain) < 2:
            return 0.0
        return float(gain.mean() - gain.std(ddof=1) / math.sqrt(len(gain)))


class Chooser:
    """Compares strategies and votes on the questions of ``lesson``; each pair is tried once.

    ``votes``: the ones to choose from, the first stands by.  ``costs``: (q, e) of every call, in
    answers of the best single expert.
    """

    def __init__(
        self,
        lesson: Lesson,
        policy: Policy,
        votes: Sequence[str],
        costs: NDArray[np.float64],
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._policy, self._votes, self._costs, self._tell = policy, votes, costs, tell
        self._material = lesson.material
        self._folds = list(divided(lesson.material, lesson.rows, seed=policy.seed))
        self._tried: dict[tuple[str, str], Trial] = {}

    def vote(self, strategy: str) -> Choice:
        """The strategy with its surely best vote."""
        return self._best_vote(strategy).choice

    def strategy(self, names: Sequence[str]) -> Choice:
        """The surely best of the strategies, each with its best vote."""
        standby_first = sorted(names, key=lambda name: name != BEST_SINGLE)
        return surest([self._best_vote(name) for name in standby_first]).choice

    def _best_vote(self, strategy: str) -> Trial:
        return surest([self._try(strategy, vote) for vote in self._votes])

    def _try(self, strategy: str, vote: str) -> Trial:
        if (strategy, vote) not in self._tried:
            self._tell(f"cross-validating {strategy} with the vote {vote}")
            self._tried[strategy, vote] = self._measured(strategy, vote)
        return self._tried[strategy, vote]

    def _measured(self, strategy: str, vote: str) -> Trial:
        if not self._folds:  # variants of one question say nothing about others: all are equal
            return Trial(Choice(strategy, vote, 0.0), np.zeros(0))
        found = Run.joined([self._held_out(strategy, vote, *fold) for fold in self._folds])
        choice = Choice(strategy, vote, float(found.right.mean()))
        return Trial(choice, found.right - self._price(found))

    def _held_out(self, strategy: str, vote: str, others: Lesson, held: NDArray[np.intp]) -> Run:
        router, judge = load_router(strategy), others.vote(vote)
        return run(router, judge, others.pool, self._material, held, self._policy)

    def _price(self, found: Run) -> NDArray[np.float64]:
        """(q) what each question's cost takes away from its worth."""
        if not self._policy.cost_weight:
            return np.zeros(len(found.rows))
        cost = spent(found.asked, found.rows, self._costs)
        if np.isnan(cost).any():
            raise ConfigurationError(
                "the objective weighs cost, but not all active parameters and lengths of answers "
                "are recorded: complete them (docs/replay.md), or leave cost_weight at 0"
            )
        return self._policy.cost_weight * cost


def surest(trials: Sequence[Trial]) -> Trial:
    """The first of the trials, unless another is surely better; of equal ones the first."""
    return max(trials, key=lambda trial: trial.sure_gain(trials[0]))
