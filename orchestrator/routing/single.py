"""The route to one expert of a ranking: what the simplest strategies have in common."""

from __future__ import annotations

from coterie.types import Route
from orchestrator.routing.pool import Pool
from orchestrator.routing.query import Query
from orchestrator.routing.ranking import Ranking


def single(
    strategy: str, query: Query, pool: Pool, ranking: Ranking, chosen: str, reason: str
) -> Route:
    """``chosen`` is asked, and nobody follows."""
    snapshot = pool.knowledge.name
    return Route(strategy, query.skills, ranking, (chosen,), (), reason, snapshot=snapshot)
