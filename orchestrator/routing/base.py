"""What a router is: a query, experts and knowledge in, a route out.  Pure, without I/O or clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

from coterie.types import Ballot, Route, Verdict
from orchestrator.routing.policy import Policy
from orchestrator.routing.pool import Pool
from orchestrator.routing.query import Query
from orchestrator.routing.ranking import (
    Ranking,
    chances,
    expected_success,
    names,
    rank,
    ranked,
    skill_terms,
)

__all__ = [
    "Policy",
    "Pool",
    "Query",
    "Ranking",
    "Router",
    "chances",
    "expected_success",
    "names",
    "rank",
    "ranked",
    "skill_terms",
]


class Router(ABC):
    """Decides who is asked.

    ``stays``: a conversation may be kept on the expert that holds it
    (:func:`orchestrator.routing.sticky.stay`); baselines are left as they are.
    """

    name: str
    stays: ClassVar[bool] = True

    @abstractmethod
    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        """The route for the query; at most ``policy.most`` experts chosen and in reserve."""

    def prepare(self, pool: Pool, policy: Policy) -> None:
        """Derives what the first decision would otherwise wait for: seconds, where it learns."""
        _ = pool.table, pool.thrift

    def plans_whole(self, pool: Pool) -> bool:
        """Whether :meth:`plan` looks at the batch as one, so that it must be given whole."""
        return False

    def plan(self, queries: Sequence[Query], pool: Pool, policy: Policy) -> list[Route]:
        """The routes of a batch; each by itself, unless a strategy looks at the batch as one."""
        return [self.route(query, pool, policy) for query in queries]

    def recruit(
        self,
        query: Query,
        pool: Pool,
        policy: Policy,
        route: Route,
        ballots: Sequence[Ballot],
        verdict: Verdict,
        asked: Collection[str],
    ) -> tuple[str, ...]:
        """Who is asked next, now that ``asked`` have answered or failed; nobody ends the asking.

        By default the reserve in its order, ``route.step`` at a time, until the agreement is
        enough.
        """
        if verdict.leader is None or verdict.agreement >= route.enough:
            return ()
        left = [name for name in route.reserve if name not in asked]
        room = max(0, policy.most - len(asked))
        return tuple(left[: min(room, route.step)])
