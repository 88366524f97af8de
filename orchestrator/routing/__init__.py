"""Routing strategies by name: a new one is one module and one line here."""

from __future__ import annotations

from collections.abc import Callable

from coterie.errors import UnknownModel
from coterie.types import Candidate, Route, Term
from orchestrator.routing.base import Policy, Pool, Query, Router, chances, names
from orchestrator.routing.baselines import BestSingle, Majority, RandomExpert
from orchestrator.routing.coe import CoeRouter
from orchestrator.routing.neighbours import NeighboursRouter
from orchestrator.routing.regression import RegressionRouter
from orchestrator.routing.symbolic import SymbolicRouter

DEFAULT_STRATEGY = "symbolic"
DIRECT = "direct"

STRATEGIES: dict[str, Callable[[], Router]] = {
    "symbolic": SymbolicRouter,
    "coe": CoeRouter,
    "neighbours": NeighboursRouter,
    "regression": RegressionRouter,
    "best-single": BestSingle,
    "majority": Majority,
    "random": RandomExpert,
}


def load_router(name: str) -> Router:
    """The router called ``name``; an unknown name is refused with the names there are."""
    if name not in STRATEGIES:
        raise UnknownModel(
            f"no strategy {name!r}: choose one of {', '.join(sorted(STRATEGIES))}", param="model"
        )
    return STRATEGIES[name]()


def direct(expert: str) -> Route:
    """The route to one expert by name: no one else is asked, whatever happens."""
    candidate = Candidate(expert, 1.0, 0.0, (Term("asked for by name", 1.0),))
    return Route(DIRECT, (), (candidate,), (expert,), (), f"{expert!r} was asked for by name")


__all__ = [
    "DEFAULT_STRATEGY",
    "DIRECT",
    "STRATEGIES",
    "Policy",
    "Pool",
    "Query",
    "Router",
    "chances",
    "direct",
    "load_router",
    "names",
]
