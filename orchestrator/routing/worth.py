"""What asking further experts is worth: the gain of their votes, their cost taken off.

    worth(next j) = ρ × gain(π, next j) - λ × (cost of the next j)

π is the belief in the answers so far, λ ``Policy.cost_weight``, cost in answers of the pool's best
single expert; :mod:`orchestrator.routing.gain` has the gain.  It takes experts to err
independently, which they do not: ρ is the share of such promises that votes have kept.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from aggregator.base import Case
from aggregator.vote import OPEN_ANSWERS, answers_given, posteriors
from coterie.types import Verdict
from orchestrator.routing.gain import LOOKAHEAD, gain
from orchestrator.routing.policy import Policy
from orchestrator.routing.pool import Pool
from orchestrator.routing.rehearsal import Stage
from skills.heldout import held_out
from skills.memory import Memory

LEAST_GAIN = 0.001
"""A gain under a thousandth is no reason to make anybody wait."""

VOTERS = 3
"""By how many votes ρ is measured: the fewest that can overrule the best one."""
LEAST_QUESTIONS = 200
"""Fewer remembered questions that several answered say nothing against a promise."""


class Next(NamedTuple):
    """The experts it is best to ask next, and what that is worth; nobody, and 0: none is."""

    names: tuple[str, ...]
    worth: float

    @property
    def pays(self) -> bool:
        """Whether it is worth the wait."""
        return self.worth > LEAST_GAIN


def best_next(
    belief: Sequence[float],
    left: Sequence[str],
    chances: Mapping[str, float],
    pool: Pool,
    policy: Policy,
    options: int,
    kept: float = 1.0,
) -> Next:
    """The first few of ``left`` that are worth most, ``LOOKAHEAD`` at most; ``kept`` is ρ."""
    answers = max(options or OPEN_ANSWERS, len(belief) + 1, 2)
    cost, best = 0.0, Next((), 0.0)
    for j, name in enumerate(left[:LOOKAHEAD], start=1):
        cost += policy.cost_weight * float(pool.costs.relative[pool.names.index(name)])
        likely = [chances[other] for other in left[:j]]
        worth = kept * gain(belief, likely, answers) - cost
        if worth > best.worth:
            best = Next(tuple(left[:j]), worth)
    return best


def belief_of(case: Case, verdict: Verdict) -> list[float]:
    """The belief in each answer given; the leader's is the verdict's own, whatever vote gave it."""
    given = answers_given(case)
    if not given:
        return []
    found = posteriors(given, case.chances, answers=case.options or OPEN_ANSWERS)
    leading = next((a for a, who in given.items() if verdict.leader in who), None)
    if leading is None:
        return []
    others = 1.0 - found[leading]
    scale = (1.0 - verdict.agreement) / others if others > 0 else 0.0
    return [verdict.agreement if a == leading else p * scale for a, p in found.items()]


def kept_of(pool: Pool) -> float:
    """ρ of the pool, in [0, 1]: what the votes of the likeliest three gained over the likeliest
    alone on remembered questions, over what they promised; 1 where too few are remembered.

    Chances are from profiles made without the question.
    """
    memory = pool.knowledge.memory
    if memory is None or len(memory) < LEAST_QUESTIONS or len(pool.names) < VOTERS:
        return 1.0
    return pool.derive(("kept",), lambda: _measured(memory.of_experts(pool.names)))


def _measured(memory: Memory) -> float:
    asked = np.isfinite(memory.correct)
    rows = np.flatnonzero(asked.sum(axis=1) >= VOTERS)
    if len(rows) < LEAST_QUESTIONS:
        return 1.0
    success = np.where(asked, held_out(memory), -np.inf)[rows]
    memory = memory.at(rows)
    orders = np.argsort(-success, axis=1, kind="stable")[:, :VOTERS]
    likely = np.take_along_axis(success, orders, axis=1)
    played = Stage(memory).rehearse(orders.tolist(), success, np.zeros(len(memory.experts)))
    gained = played.right[:, -1].astype(float) - played.right[:, 0]
    promised = [
        gain(p[:1], p[1:], max(int(options) or OPEN_ANSWERS, 2))
        for p, options in zip(likely.tolist(), memory.options, strict=True)
    ]
    return float(np.clip(gained.mean() / np.mean(promised), 0.0, 1.0)) if any(promised) else 1.0
