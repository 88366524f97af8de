"""Recruits that err together add little: the next best is the best that differs.

Maximal marginal relevance (Carbonell and Goldstein, 1998) with the correlation of errors in the
place of the likeness of documents: the expert recruited next has the highest

    score(e) - δ · max_{r recruited} ρ(e, r)

with ρ the correlation of errors (:mod:`skills.correlation`), negative ones as 0, and δ
``Policy.diversity``.  Since the maximum only grows, what is recruited later never has a higher
score than what was recruited before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.routing.policy import Policy
from orchestrator.routing.pool import Pool
from orchestrator.routing.ranking import Ranking
from skills.correlation import error_correlation


def diversify(ranking: Ranking, pool: Pool, policy: Policy, near: Sequence[int]) -> Ranking:
    """The ranking anew, with ``policy.most`` recruits picked among the columns ``near``.

    ``near`` is best first.  The ranking stays as it is where no answers are remembered, or where
    ``policy.diversity`` is 0.
    """
    correlation = correlations(pool) if policy.diversity else None
    if correlation is None:
        return ranking
    closest, whom = _closest(ranking, correlation, policy, near)

    def why(column: int) -> str:
        return f"errs with {pool.names[whom[column]]} (correlation {closest[column]:.2f})"

    return ranking.less(policy.diversity * closest, why)


def correlations(pool: Pool) -> NDArray[np.float64] | None:
    """Correlation of the pool's experts' errors, (e, e), 0 for negative ones; None: no memory."""
    memory = pool.knowledge.memory
    if memory is None or not len(memory):
        return None
    return pool.knowledge.once(
        ("error correlation", pool.names),
        lambda: np.maximum(error_correlation(memory.of_experts(pool.names)), 0.0),
    )


def _closest(
    ranking: Ranking, correlation: NDArray[np.float64], policy: Policy, near: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """How much each expert errs with the recruits before it, at most, and with which, (e) each."""
    order = np.asarray(near, dtype=np.intp)
    scores = ranking.by_column[order]
    closest = np.zeros(len(correlation))
    whom = np.zeros(len(correlation), dtype=np.intp)
    open_ = np.ones(len(correlation), dtype=bool)
    for _ in range(min(policy.most, len(near))):
        current = np.where(open_[order], scores - policy.diversity * closest[order], -np.inf)
        pick = order[int(np.argmax(current))]  # the first of equals: the ranking broke the tie
        open_[pick] = False
        nearer = open_ & (correlation[pick] > closest)
        closest[nearer] = correlation[pick][nearer]
        whom[nearer] = pick
    return closest, whom
