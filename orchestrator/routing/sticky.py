"""Conversations stay with their expert while it is about as good as any.

The expert that answered the turn before has the conversation in its prefix cache.  It is asked
first as long as its chance on the new question is within ``MARGIN`` of the best one's; a question
that needs other skills moves the chances apart, and the conversation with them.  (Composition of
Experts keeps a conversation "unless the category changes"; chances make that a matter of degree.)
"""

from __future__ import annotations

from dataclasses import replace

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, chances

MARGIN = 0.05
"""How much less likely to be right the holder may be and still keep the conversation."""


def stay(route: Route, query: Query, pool: Pool, policy: Policy) -> Route:
    """The route with the conversation's holder asked first, where it is good enough.

    As many are asked as before: the last of the chosen makes room, and heads the reserve where
    there is one.
    """
    holder, chance = query.holder, chances(route)
    if holder is None or holder not in chance:
        return route
    if chance[holder] < max(chance.values()) - MARGIN:
        return route
    slow = pool.costs.too_slow(policy.latency_s)
    if slow is not None and slow[pool.names.index(holder)]:
        return route
    others = tuple(name for name in route.chosen if name != holder)
    chosen = (holder, *others)[: len(route.chosen)]
    reserve = tuple(name for name in route.reserve if name != holder)
    if route.reserve:
        reserve = (*others[len(chosen) - 1 :], *reserve)[: len(route.reserve)]
    told = f"; {holder} goes on with the conversation it holds, at {chance[holder]:.2f}"
    return replace(route, chosen=chosen, reserve=reserve, reason=route.reason + told)
