"""Symbolic routing: recruit by the skills a question needs.

Source: Symbolic-MoE (arXiv 2503.05641, section 3.2), with three changes: an expert's local score
is a probability with a spread instead of a sum of ±1; recruiting is deterministic instead of
sampled with replacement; and no one is asked who could not change the answer.
"""

from __future__ import annotations

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Ranking, Router, rank


class SymbolicRouter(Router):
    """Asks the best expert alone when it is sure enough, else the comparable few."""

    name = "symbolic"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        return one_or_few(self.name, query, pool, policy, rank(query, pool, policy))


def one_or_few(strategy: str, query: Query, pool: Pool, policy: Policy, ranking: Ranking) -> Route:
    """The best of ``ranking`` alone, or the comparable few with others of them in reserve."""
    comparable = _comparable(ranking, policy)
    alone = ranking.scores[0] >= policy.confidence or len(comparable) == 1
    chosen = comparable[: 1 if alone else min(policy.first, policy.most)]
    return Route(
        strategy,
        query.skills,
        ranking,
        chosen,
        comparable[len(chosen) : policy.most],
        _reason(ranking, comparable, policy),
        enough=policy.confidence,
        step=policy.most,
        snapshot=pool.knowledge.name,
    )


def _comparable(ranking: Ranking, policy: Policy) -> tuple[str, ...]:
    scores = ranking.scores
    floor = policy.comparable * scores[0]
    near = sum(score >= floor for score in scores)
    return ranking.names[: max(near, 1)]


def _reason(ranking: Ranking, comparable: tuple[str, ...], policy: Policy) -> str:
    names, scores = ranking.names, ranking.scores
    margin = f"; next is {names[1]} at {scores[1]:.2f}" if len(names) > 1 else ""
    if scores[0] >= policy.confidence:
        return f"{names[0]} is sure enough alone at {scores[0]:.2f}{margin}"
    if len(comparable) == 1:
        return f"no other expert comes near {names[0]} at {scores[0]:.2f}{margin}"
    return (
        f"best is {names[0]} at {scores[0]:.2f}, under {policy.confidence:.2f}: "
        f"{min(len(comparable), policy.first)} comparable experts vote{margin}"
    )
