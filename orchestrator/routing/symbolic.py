"""Symbolic routing: recruit by the skills a question needs.

Source: Symbolic-MoE (arXiv 2503.05641, section 3.2), with four changes: an expert's local score
is a probability with a spread instead of a sum of ±1; recruiting is deterministic instead of
sampled with replacement; no one is asked who could not change the answer; and those vote who vote
well together, which experts that err together do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Ranking, Router, rank
from orchestrator.routing.committees import Committees, committees
from orchestrator.routing.few import few_pay


class SymbolicRouter(Router):
    """Asks the best expert alone when it is sure enough, else the few that vote best together."""

    name = "symbolic"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        return one_or_few(self.name, query, pool, policy, rank(query, pool, policy))


def one_or_few(strategy: str, query: Query, pool: Pool, policy: Policy, ranking: Ranking) -> Route:
    """The best of ``ranking`` alone, or a few that vote, with comparable others in reserve.

    Alone where it is sure enough, where nobody comes near it, or where votes were measured to be no
    better (:mod:`orchestrator.routing.few`).  The few are the comparable best,
    or the committee that was measured to vote best (:mod:`orchestrator.routing.committees`).
    """
    near = _comparable(ranking, policy)
    first = min(policy.first, policy.most)
    if len(near) == 1 or ranking.chance(near[0]) >= policy.confidence:
        recruits, first, told = near[:1], 1, _alone(ranking, pool, policy)
    elif not few_pay(pool, policy, first):
        recruits, first, told = near[:1], 1, _ahead(ranking, pool)
    else:
        few, told = _few(near, ranking, pool, policy, first)
        recruits = [*few, *(column for column in near if column not in few)]
    names = tuple(pool.names[column] for column in recruits[: policy.most])
    return Route(
        strategy,
        query.skills,
        ranking,
        names[:first],
        names[first:],
        told + _next(ranking, pool),
        enough=policy.confidence,
        step=policy.most,
        snapshot=pool.knowledge.name,
    )


def _comparable(ranking: Ranking, policy: Policy) -> list[int]:
    """The columns of those that could change the best one's answer, itself first."""
    columns = ranking.askable_columns
    scores = ranking.by_column[columns]
    best = float(scores[0])
    floor = policy.comparable * best if best > 0 else best
    return columns[: max(int(np.count_nonzero(scores >= floor)), 1)]


def _few(
    near: Sequence[int], ranking: Ranking, pool: Pool, policy: Policy, first: int
) -> tuple[list[int], str]:
    """The columns of the ``first`` that vote, best first, and why these."""
    plain = list(near[:first])
    name, chance = pool.names[plain[0]], ranking.chance(plain[0])
    told = f"best is {name} at {chance:.2f}, under {policy.confidence:.2f}: "
    found = committees(pool, first) if len(near) > first else None
    if found is None or not found.known[plain].all():
        # Nobody can say how those that are not known would vote together with the others.
        return plain, f"{told}{len(plain)} comparable experts vote"
    return _committee(found, ranking, pool, policy, told)


def _committee(
    found: Committees, ranking: Ranking, pool: Pool, policy: Policy, told: str
) -> tuple[list[int], str]:
    values = found.values(ranking.success)
    if policy.cost_weight:
        values = policy.worth(values, pool.costs.relative[found.members].sum(axis=1))
    slow = pool.costs.too_slow(policy.latency_s)
    if slow is not None:
        values = np.where(slow[found.members].any(axis=1), -np.inf, values)
    best = int(np.argmax(values))
    chosen = set(found.members[best].tolist())
    columns = [column for column in ranking.columns if column in chosen]
    names = ", ".join(pool.names[column] for column in columns)
    return columns, f"{told}{names} vote best together, expected {values[best]:.2f}"


def _alone(ranking: Ranking, pool: Pool, policy: Policy) -> str:
    column = ranking.columns[0]
    name, chance = pool.names[column], ranking.chance(column)
    if chance >= policy.confidence:
        return f"{name} is sure enough alone at {chance:.2f}"
    return f"no other expert comes near {name} at {chance:.2f}"


def _ahead(ranking: Ranking, pool: Pool) -> str:
    column = ranking.columns[0]
    told = "alone, as votes were no better than the best on remembered questions"
    return f"{pool.names[column]} at {ranking.chance(column):.2f} {told}"


def _next(ranking: Ranking, pool: Pool) -> str:
    if len(ranking) == 1:
        return ""
    column = ranking.columns[1]
    return f"; next is {pool.names[column]} at {ranking.chance(column):.2f}"
