"""Which experts vote well together: committees are measured like experts.

Experts that make the same mistakes at the same time are a poor committee, however good each is.  So
every committee of a shortlist is judged by how often its vote was right on the remembered
questions, and then by what its members are worth on the question at hand:

    V(S, q) = A(S) + b sum_{e in S} (p(e, q) - p(e))

* A(S): the share of remembered questions on which the competence-weighted vote of S was right, with
  chances from profiles made without the question.  The best of many committees is partly the
  luckiest, so A is pulled towards what the members' own rates make one expect (a regression over
  all committees on the sum and the greatest of them), which counts as ``PRIOR_N`` questions.
* p(e, q) - p(e): how much likelier the expert is to be right here than on remembered questions.
* b: what such an advantage did for the vote: its least-squares slope over remembered questions and
  committees, differences within a question only; never negative.

Pure, and computed once for a snapshot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from orchestrator.routing.pool import Pool
from orchestrator.routing.rehearsal import Stage
from skills.heldout import held_out
from skills.memory import Memory

Floats = NDArray[np.float64]

SHORTLIST = 12
"""Experts that committees are made of, at most: those with the highest rates."""
MOST_COMMITTEES = 800
LEAST_SIZE = 3
"""Two can only agree, or leave it to the better one."""
LEAST_QUESTIONS = 200
"""Fewer remembered questions that the whole shortlist answered cannot tell committees apart."""
REHEARSED = 2500
PRIOR_N = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Committees:
    """``c`` committees of ``k`` out of a pool's ``e`` experts.

    ``members``: (c, k) columns; ``accuracy``: (c) A; ``usual``: (e) the experts' rates on the
    remembered questions; ``known``: (e) who is on the shortlist; ``slope``: b.
    """

    members: NDArray[np.intp]
    accuracy: Floats
    usual: Floats
    known: NDArray[np.bool_]
    slope: float

    def values(self, success: Floats) -> Floats:
        """V of every committee, (c), on a question with these chances, (e)."""
        advantage = self.slope * (success - self.usual)
        found: Floats = self.accuracy + advantage[self.members].sum(axis=1)
        return found


def committees(pool: Pool, size: int) -> Committees | None:
    """The committees of ``size`` in this pool; None where they cannot be told apart."""
    memory = pool.knowledge.memory
    if memory is None or size < LEAST_SIZE or len(pool.names) <= size:
        return None
    return pool.derive(("committees", size), lambda: _measured(pool, size, memory))


def _measured(pool: Pool, size: int, memory: Memory) -> Committees | None:
    memory = memory.of_experts(pool.names)
    listed = _shortlist(memory, size)
    rows = np.flatnonzero(np.isfinite(memory.correct[:, listed]).all(axis=1))
    if len(listed) <= size or len(rows) < LEAST_QUESTIONS:
        return None
    rows = rows[:: -(-len(rows) // REHEARSED)]
    memory = memory.at(rows)
    success = held_out(memory)
    members = np.array(list(combinations(listed, size)), dtype=np.intp)
    stage = Stage(memory)
    right = np.stack([stage.right(m, success) for m in members], axis=1).astype(float)
    usual = np.nan_to_num(memory.correct.astype(float)).mean(axis=0)
    known = np.zeros(len(pool.names), dtype=bool)
    known[listed] = True
    accuracy = _shrunken(right.mean(axis=0), usual[members], len(memory))
    advantage = np.sum([success[:, column] for column in members.T], axis=0)
    return Committees(members, accuracy, usual, known, _slope(advantage, right))


def _shortlist(memory: Memory, size: int) -> list[int]:
    """The columns of the best experts, as many as make no more than ``MOST_COMMITTEES``."""
    asked = np.isfinite(memory.correct).sum(axis=0)
    right = np.nan_to_num(memory.correct).sum(axis=0)
    rate = np.where(asked >= LEAST_QUESTIONS, right / np.maximum(asked, 1), -1.0)
    length = max(
        (n for n in range(size, SHORTLIST + 1) if math.comb(n, size) <= MOST_COMMITTEES),
        default=0,
    )
    best = np.argsort(-rate, kind="stable")[:length]
    return sorted(int(column) for column in best if rate[column] >= 0)


def _shrunken(accuracy: Floats, rates: Floats, n: int) -> Floats:
    """``accuracy``, (c), pulled to its regression on the members' ``rates``, (c, k)."""
    features = np.stack([np.ones(len(rates)), rates.sum(axis=1), rates.max(axis=1)], axis=1)
    weights, *_ = np.linalg.lstsq(features, accuracy, rcond=None)
    found: Floats = (n * accuracy + PRIOR_N * (features @ weights)) / (n + PRIOR_N)
    return found


def _slope(advantage: Floats, right: Floats) -> float:
    """What an advantage, (q, c), does for the vote, (q, c), within a question; never negative."""
    across = advantage - advantage.mean(axis=1, keepdims=True)
    # What a committee's members are always worth is in its accuracy already.
    across -= across.mean(axis=0)
    spread = float((across**2).sum())
    found = float((across * (right - right.mean(axis=1, keepdims=True))).sum())
    return max(found / spread, 0.0) if spread else 0.0
