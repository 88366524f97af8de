"""Symbolic routing: recruit by the skills a question needs.

Source: Symbolic-MoE (arXiv 2503.05641, section 3.2), with four changes: an expert's local score
is a probability with a spread instead of a sum of ±1; recruiting is deterministic instead of
sampled with replacement; no one is asked who could not change the answer; and of experts about as
good, those are asked whose errors differ.
"""

from __future__ import annotations

import numpy as np

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Ranking, Router, rank
from orchestrator.routing.diversity import diversify


class SymbolicRouter(Router):
    """Asks the best expert alone when it is sure enough, else the comparable few."""

    name = "symbolic"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        return one_or_few(self.name, query, pool, policy, rank(query, pool, policy))


def one_or_few(strategy: str, query: Query, pool: Pool, policy: Policy, ranking: Ranking) -> Route:
    """The best of ``ranking`` alone, or the comparable few with others of them in reserve.

    Alone where it is sure enough, or where nobody comes near it; the few are as different in their
    errors as they come (:mod:`orchestrator.routing.diversity`).
    """
    first = min(policy.first, policy.most)
    near = _comparable(ranking, policy)
    alone = len(near) == 1 or ranking.chance(near[0]) >= policy.confidence
    reason = _reason(ranking, pool, policy, len(near))
    if not alone and len(near) > first:
        ranking = diversify(ranking, pool, policy, near)
        comparable = set(near)
        near = [column for column in ranking.columns if column in comparable]
    recruits = tuple(pool.names[column] for column in near[: 1 if alone else policy.most])
    return Route(
        strategy,
        query.skills,
        ranking,
        recruits[:first],
        recruits[first:],
        reason,
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


def _reason(ranking: Ranking, pool: Pool, policy: Policy, near: int) -> str:
    columns = ranking.columns
    name, chance = pool.names[columns[0]], ranking.chance(columns[0])
    margin = ""
    if len(columns) > 1:
        margin = f"; next is {pool.names[columns[1]]} at {ranking.chance(columns[1]):.2f}"
    if chance >= policy.confidence:
        return f"{name} is sure enough alone at {chance:.2f}{margin}"
    if near == 1:
        return f"no other expert comes near {name} at {chance:.2f}{margin}"
    few = min(near, policy.first, policy.most)
    return (
        f"best is {name} at {chance:.2f}, under {policy.confidence:.2f}: "
        f"{few} comparable experts vote{margin}"
    )
