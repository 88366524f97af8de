"""Conversations stay with their expert while it is about as good as any.

The expert that answered the turn before has the conversation in its prefix cache.  It is asked
first as long as its chance on the new question is within ``MARGIN`` of the best one's; a question
that needs other skills moves the chances apart, and the conversation with them.  (Composition of
Experts keeps a conversation "unless the category changes"; chances make that a matter of degree.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, chances

MARGIN = 0.05
"""How much less likely to be right the holder may be and still keep the conversation."""


def stay(route: Route, query: Query, pool: Pool, policy: Policy) -> Route:
    """The route with the conversation's holder asked first, where it is good enough, or has called
    the tool whose result has come.

    As many are asked as before: the last of the chosen makes room, and heads the reserve where
    there is one.
    """
    holder, chance = query.holder, chances(route)
    if holder is None or holder not in chance:
        return route
    if not (query.called or _good_enough(holder, chance, pool, policy)):
        return route
    others = tuple(name for name in route.chosen if name != holder)
    chosen = (holder, *others)[: len(route.chosen)]
    reserve = tuple(name for name in route.reserve if name != holder)
    if route.reserve:
        reserve = (*others[len(chosen) - 1 :], *reserve)[: len(route.reserve)]
    why = "reads what the tool it called has given" if query.called else ""
    why = why or f"goes on with the conversation it holds, at {chance[holder]:.2f}"
    told = f"{route.reason}; {holder} {why}"
    return replace(route, chosen=chosen, reserve=reserve, reason=told)


def _good_enough(holder: str, chance: Mapping[str, float], pool: Pool, policy: Policy) -> bool:
    if chance[holder] < max(chance.values()) - MARGIN:
        return False
    slow = pool.costs.too_slow(policy.latency_s)
    return slow is None or not slow[pool.names.index(holder)]
