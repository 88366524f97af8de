"""Whether a few that vote were better than the best one alone.

A vote helps where experts are about as good as each other and err apart; where one is far ahead, or
all know the same, it makes the answer worse.  Which of the two a pool is, the remembered questions
tell: on those that a strategy would have put to several, the vote of the likeliest few is compared
with the likeliest alone, with chances from profiles made without the question.  The vote must win
by one standard error (paired by question): else one is asked, which costs less.

Where hundreds of questions are remembered, it is left to the vote: a learned one knows whom not to
follow, and on its account several are worth asking where the plain vote would say no.

Pure, and computed once for a snapshot.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from orchestrator.routing.policy import Policy
from orchestrator.routing.pool import Pool
from orchestrator.routing.rehearsal import Stage
from skills.heldout import held_out
from skills.memory import Memory

Floats = NDArray[np.float64]

LEAST_QUESTIONS = 50
"""Under so many questions that several were comparable at, nothing speaks against a vote."""
MOST_QUESTIONS = 400
"""From so many remembered questions on, votes are learned."""


def few_pay(pool: Pool, policy: Policy, size: int) -> bool:
    """Whether to let the ``size`` likeliest vote where they are comparable."""
    memory = pool.knowledge.memory
    if memory is None or size < 2 or len(memory) >= MOST_QUESTIONS:
        return True
    key = ("few", size, policy.comparable, policy.confidence)
    return pool.derive(key, lambda: _measured(memory.of_experts(pool.names), policy, size))


def _measured(memory: Memory, policy: Policy, size: int) -> bool:
    asked = np.isfinite(memory.correct)
    success = np.where(asked, held_out(memory), -np.inf)
    orders = [_order(chances, policy, size) for chances in success]
    rows = np.array([i for i, order in enumerate(orders) if len(order) > 1], dtype=np.intp)
    if len(rows) < LEAST_QUESTIONS:
        return True
    played = Stage(memory.at(rows)).rehearse(
        [orders[i] for i in rows], success[rows], np.zeros(len(memory.experts))
    )
    gain = played.right[:, -1].astype(float) - played.right[:, 0]
    return bool(gain.mean() > gain.std(ddof=1) / math.sqrt(len(gain)))


def _order(chances: Floats, policy: Policy, size: int) -> list[int]:
    """The columns of those who would vote, likeliest first; the likeliest alone where it is sure
    enough or nobody comes near it; none where nobody was asked."""
    order = np.argsort(-chances, kind="stable")
    best = float(chances[order[0]])
    if best >= policy.confidence:
        return [int(order[0])]
    near = order[chances[order] >= max(policy.comparable * best, 0.0)]
    return [int(column) for column in near[:size]]
