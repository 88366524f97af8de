"""Which vote, and which strategy: what cross-validates best on the profile split.

In every fold all that is learned (profiles, fitted votes, whatever strategies derive) is learned
anew without the questions it is tried on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError
from orchestrator.replay.cost import mean_cost
from orchestrator.replay.lesson import Lesson, divided
from orchestrator.replay.session import Run, run
from orchestrator.routing import Policy, load_router


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy with its vote: its cross-validated accuracy, and what the objective makes of it.

    The objective is the policy's: accuracy minus ``cost_weight`` × mean cost, in answers of the
    best single expert.
    """

    strategy: str
    vote: str
    accuracy: float
    value: float


class Chooser:
    """Compares strategies and votes on the questions of ``lesson``; each pair is tried once.

    ``votes``: the ones to choose from.  ``costs``: (q, e) of every call, in answers of the best
    single expert.
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
        self._tried: dict[tuple[str, str], Choice] = {}

    def vote(self, strategy: str) -> Choice:
        """The strategy with its best vote; of equal ones the first."""
        return max((self._try(strategy, vote) for vote in self._votes), key=lambda c: c.value)

    def strategy(self, names: Sequence[str]) -> Choice:
        """The best of the strategies, each with its best vote; of equal ones the first."""
        return max((self.vote(name) for name in names), key=lambda c: c.value)

    def _try(self, strategy: str, vote: str) -> Choice:
        if (strategy, vote) not in self._tried:
            self._tell(f"cross-validating {strategy} with the vote {vote}")
            self._tried[strategy, vote] = self._measured(strategy, vote)
        return self._tried[strategy, vote]

    def _measured(self, strategy: str, vote: str) -> Choice:
        if not self._folds:  # variants of one question say nothing about others: all are equal
            return Choice(strategy, vote, 0.0, 0.0)
        found = Run.joined([self._held_out(strategy, vote, *fold) for fold in self._folds])
        accuracy = float(found.right.mean())
        return Choice(strategy, vote, accuracy, accuracy - self._price(found))

    def _held_out(self, strategy: str, vote: str, others: Lesson, held: NDArray[np.intp]) -> Run:
        router, judge = load_router(strategy), others.vote(vote)
        return run(router, judge, others.pool, self._material, held, self._policy)

    def _price(self, found: Run) -> float:
        """What the run's cost takes away from its accuracy."""
        if not self._policy.cost_weight:
            return 0.0
        cost = mean_cost(found.asked, found.rows, self._costs)
        if cost is None:
            raise ConfigurationError(
                "the objective weighs cost, but not all active parameters and lengths of answers "
                "are recorded: complete them (docs/replay.md), or leave cost_weight at 0"
            )
        return self._policy.cost_weight * cost
