"""A fixed random mix of single experts that costs what a budget allows.

The control that learned routing must beat: with the same mean cost, and without a look at the
question.  The mix is the best there is: with experts as points of cost and overall rate, the upper
hull between the cheap and the dear.  At most two experts have a share.

The budget is ``Policy.mean_cost``; by default the mean cost of what ``symbolic`` would ask on the
remembered questions, its later rounds included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Router, chances, rank
from orchestrator.routing.lots import lots
from orchestrator.routing.rehearsal import Stage
from orchestrator.routing.single import single
from orchestrator.routing.symbolic import SymbolicRouter
from skills.memory import Memory

REHEARSED = 1000
"""Remembered questions the default budget is measured on, at most."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Columns ``cheap`` and ``dear``; the dear one has ``share``."""

    cheap: int
    dear: int
    share: float


class StaticMix(Router):
    """One expert, drawn by fixed shares."""

    name = "static-mix"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(Query(), pool, policy)
        what = ("static mix", policy)
        mix, budget = pool.derive(what, lambda: _mix(pool, policy))
        dear = lots(self.name, policy.seed, query).random() < mix.share
        cheap_name, dear_name = pool.names[mix.cheap], pool.names[mix.dear]
        reason = (
            f"drawn with seed {policy.seed}: {dear_name} has {mix.share:.2f}, {cheap_name} the "
            f"rest, for a mean cost of {budget:.3g} {pool.costs.unit}"
        )
        chosen = dear_name if dear else cheap_name
        return single(self.name, query, pool, ranking, chosen, reason)


def best_mix(accuracy: NDArray[np.float64], cost: NDArray[np.float64], budget: float) -> Mix:
    """The mix of two with the highest accuracy whose mean cost is within ``budget``.

    The cheapest alone where even that one costs more.
    """
    cheap = np.flatnonzero(cost <= budget)
    if len(cheap) == 0:
        least = int(np.argmin(cost))
        return Mix(least, least, 0.0)
    best = int(cheap[np.argmax(accuracy[cheap])])
    found, value = Mix(best, best, 0.0), float(accuracy[best])
    for dear in np.flatnonzero(cost > budget):
        share = (budget - cost[cheap]) / (cost[dear] - cost[cheap])
        mixed = accuracy[cheap] + share * (accuracy[dear] - accuracy[cheap])
        i = int(np.argmax(mixed))
        if mixed[i] > value:
            found, value = Mix(int(cheap[i]), int(dear), float(share[i])), float(mixed[i])
    return found


def _mix(pool: Pool, policy: Policy) -> tuple[Mix, float]:
    budget = policy.mean_cost if policy.mean_cost is not None else _default_budget(pool, policy)
    slow = pool.costs.too_slow(policy.latency_s)
    allowed = np.arange(len(pool.names)) if slow is None else np.flatnonzero(~slow)
    mix = best_mix(pool.table.mean[0, allowed], pool.costs.expected[allowed], budget)
    return Mix(int(allowed[mix.cheap]), int(allowed[mix.dear]), mix.share), budget


def _default_budget(pool: Pool, policy: Policy) -> float:
    """What ``symbolic`` spends on a remembered question; on the best single one without any."""
    memory = pool.knowledge.memory
    if memory is None or not len(memory):
        return float(pool.costs.expected[int(np.argmax(pool.table.mean[0]))])
    step = -(-len(memory) // REHEARSED)
    sample = memory.of_experts(pool.names).at(np.arange(0, len(memory), step))
    return float(_spent(pool, policy, sample).mean())


def _spent(pool: Pool, policy: Policy, memory: Memory) -> NDArray[np.float64]:
    """What ``symbolic`` spends, (q): its first round, and the second where the vote is not sure."""
    column = {name: i for i, name in enumerate(pool.names)}
    router, orders, first = SymbolicRouter(), [], []
    success = np.zeros((len(memory), len(column)))
    for q, skills in enumerate(memory.skills):
        route = router.route(Query(skills), pool, policy)
        orders.append([column[name] for name in (*route.chosen, *route.reserve)])
        first.append(len(route.chosen) - 1)
        success[q] = [chances(route)[name] for name in pool.names]
    played = Stage(memory).rehearse(orders, success, pool.costs.expected)
    rows = np.arange(len(orders))
    sure = played.agreement[rows, first] >= policy.confidence
    return np.where(sure, played.cost[rows, first], played.cost[:, -1])
