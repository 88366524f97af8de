"""How many experts may be asked, and what is wanted of the choice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Policy:
    """How many are asked, and what is wanted of the choice.

    The objective is accuracy; accuracy less ``cost_weight`` × cost where that is set; and within
    ``latency_s`` where that is.
    """

    first: int = 3
    """How many experts are asked in the first round, at most."""
    most: int = 5
    """How many experts are asked in all, at most."""
    confidence: float = 0.9
    """One who is right with this probability is asked alone; a vote that reaches it ends the
    asking."""
    comparable: float = 0.6
    """Where nobody's score is this many times the best one's, the best is asked alone: the others
    have nothing to add and are kept only as substitutes."""
    seed: int = 0
    """What strategies that draw lots draw them from, together with the question."""
    cost_weight: float = 0.0
    """λ: how much accuracy may be given up to save what one answer of the pool's best single
    expert costs (:class:`orchestrator.routing.costs.Costs`)."""
    latency_s: float | None = None
    """Experts measured to be slower are asked only where there is nobody else."""
    mean_cost: float | None = None
    """Budget of a question's mean cost, in the unit of the pool's costs; None: the strategy's own
    default, or no limit."""
    hosting_gb: float | None = None
    """Budget of memory for the experts that are served at all, in GB; None: no limit."""
    target: float = 1.0
    """``cascade``: the accuracy to keep, as a share of the best single expert's."""
    aggregate_under: float | None = None
    """The agreement under which answers that differ go to the aggregator, whatever was measured;
    None: as the snapshot says (:func:`orchestrator.voting.aggregate_under`)."""
    writers: int = 2
    """How many are asked to write one answer of many, in turn, before the best vote stands."""
    k: int = 3
    """``symbolic-paper``: how many experts are drawn for a question."""
    temperature: float = 0.5
    """``symbolic-paper``: of the softmax they are drawn by."""
    trim: float = 0.05
    """``symbolic-paper``: who is drawn for a smaller share of a batch is left out of it."""

    def at_most(self, most: int | None) -> Policy:
        """The policy where at most so many may be asked; None: as many as before."""
        return self if most is None else replace(self, most=min(most, self.most))

    def worth(
        self, accuracy: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The objective's value at this accuracy and cost, cost in answers of the best single."""
        return accuracy - self.cost_weight * cost if self.cost_weight else accuracy
