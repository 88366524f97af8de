"""Whichever strategy did best on the profiling questions for the objective."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from coterie.types import Ballot, Route, Verdict
from orchestrator.routing.base import Policy, Pool, Query, Router

FALLBACK = "symbolic"


def falls_on(choices: Mapping[str, str]) -> str:
    """The strategy that ``auto`` leaves the decision to, by what the snapshot has chosen."""
    return choices.get(Auto.name) or FALLBACK


class Auto(Router):
    """Delegates to the strategy that the snapshot names; to ``symbolic`` where it names none.

    The choice is made by cross-validation when profiles are made, and kept with them
    (``Knowledge.choices["auto"]``).  ``routers`` are those it may fall on, by name.  A route bears
    the name of the strategy that decided it.
    """

    name = "auto"

    def __init__(self, routers: Mapping[str, Callable[[], Router]]) -> None:
        self._routers = routers

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        router, why = self._chosen(pool)
        return _told(router.route(query, pool, policy), why)

    def plans_whole(self, pool: Pool) -> bool:
        return self._chosen(pool)[0].plans_whole(pool)

    def plan(self, queries: Sequence[Query], pool: Pool, policy: Policy) -> list[Route]:
        router, why = self._chosen(pool)
        routes = router.plan(queries, pool, policy)
        return [_told(route, why) for route in routes]

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
        return self._chosen(pool)[0].recruit(query, pool, policy, route, ballots, verdict, asked)

    def _chosen(self, pool: Pool) -> tuple[Router, str]:
        name = pool.knowledge.choices.get(self.name)
        if name is None:  # too few answers to compare strategies by: nothing to tell
            return self._routers[FALLBACK](), ""
        if name in self._routers:
            return self._routers[name](), f"{name} did best on the profiling questions"
        return self._routers[FALLBACK](), f"{name!r} is not there, so {FALLBACK}"


def _told(route: Route, why: str) -> Route:
    """The route with the reason for its strategy before its own."""
    return replace(route, reason=f"auto: {why}; {route.reason}") if why else route
