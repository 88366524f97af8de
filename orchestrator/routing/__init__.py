"""Routing strategies by name: a new one is one module and one line here."""

from __future__ import annotations

from collections.abc import Callable

from coterie.errors import UnknownModel
from coterie.types import Candidate, Route, Term
from orchestrator.routing.adaptive import Adaptive
from orchestrator.routing.auto import Auto, falls_on
from orchestrator.routing.base import Policy, Pool, Query, Router, chances, names
from orchestrator.routing.baselines import (
    BestSingle,
    Everyone,
    Oracle,
    PerCategory,
    RandomExpert,
)
from orchestrator.routing.cascade import Cascade
from orchestrator.routing.coe import CoeRouter
from orchestrator.routing.instruction import Instruction
from orchestrator.routing.neighbours import NeighboursRouter
from orchestrator.routing.regression import RegressionRouter
from orchestrator.routing.static_mix import StaticMix
from orchestrator.routing.sticky import stay
from orchestrator.routing.symbolic import SymbolicRouter
from orchestrator.routing.symbolic_paper import SymbolicPaper

DEFAULT_STRATEGY = "auto"
DIRECT = "direct"
ORACLE = "oracle"
BEST_SINGLE = "best-single"

STRATEGIES: dict[str, Callable[[], Router]] = {
    "auto": lambda: Auto({n: r for n, r in STRATEGIES.items() if n not in ("auto", ORACLE)}),
    "symbolic": SymbolicRouter,
    "regression": RegressionRouter,
    "neighbours": NeighboursRouter,
    "coe": CoeRouter,
    "symbolic-paper": SymbolicPaper,
    "cascade": Cascade,
    "adaptive": Adaptive,
    "instruction": Instruction,
    BEST_SINGLE: BestSingle,
    "per-category": PerCategory,
    "static-mix": StaticMix,
    "random": RandomExpert,
    "all": Everyone,
    "majority": Everyone,  # what ``all`` was called
    ORACLE: Oracle,
}

OFFERED = tuple(name for name in STRATEGIES if name not in ("majority", ORACLE))
"""The strategies a request may choose, as they are shown: without the old name, and without the one
that only evaluations have."""


def load_router(name: str) -> Router:
    """The router called ``name``; an unknown name is refused with the names there are."""
    if name not in STRATEGIES:
        raise UnknownModel(
            f"no strategy {name!r}: choose one of {', '.join(sorted(OFFERED))}", param="model"
        )
    return STRATEGIES[name]()


def warm(pool: Pool, policy: Policy) -> None:
    """Derives what decisions rest on (thresholds, correlations), so that no request waits for it.

    Takes up to seconds where many answers are remembered: call it off the event loop.
    """
    for name in OFFERED:
        router = load_router(name)
        router.prepare(pool, policy)
        router.route(Query(), pool, policy)


def direct(expert: str) -> Route:
    """The route to one expert by name: no one else is asked, whatever happens."""
    candidate = Candidate(expert, 1.0, 0.0, (Term("asked for by name", 1.0),))
    return Route(DIRECT, (), (candidate,), (expert,), (), f"{expert!r} was asked for by name")


__all__ = [
    "BEST_SINGLE",
    "DEFAULT_STRATEGY",
    "DIRECT",
    "OFFERED",
    "ORACLE",
    "STRATEGIES",
    "Policy",
    "Pool",
    "Query",
    "Router",
    "chances",
    "direct",
    "falls_on",
    "load_router",
    "names",
    "stay",
    "warm",
]
