"""A cheap expert first, dearer ones only where it is not sure enough or they disagree.

Source: mixtures of weak and strong experts and cascades in the manner of FrugalGPT (Chen, Zaharia
and Zou, 2023, arXiv 2305.05176, section 3), with two changes: whether an answer is good enough is
the posterior of the vote among those asked so far, not a scorer trained for it; and the order is
the question's own, the Pareto front of cost and expected success on its skills.

The threshold τ is learned.  Every remembered question is played through its cascade with chances
from profiles that were made without it (:mod:`skills.heldout`); τ is the lowest on a grid from
which on the accuracy stays at or above ``Policy.target`` × that of the best single expert.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Router, rank
from orchestrator.routing.rehearsal import Rehearsal, rehearse
from skills.heldout import held_out
from skills.memory import Memory

LEAST_QUESTIONS = 50
"""Fewer remembered questions teach no threshold: the policy's confidence stands in."""
GRID = np.linspace(0.2, 0.99, 80)


class Cascade(Router):
    """Asks one by one, cheapest first, until the vote is sure enough."""

    name = "cascade"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool, policy)
        success = ranking.success
        allowed = np.zeros(len(success), dtype=bool)
        allowed[ranking.askable_columns] = True
        columns = front(success, pool.thrift, allowed, policy.most)
        order, chance = [pool.names[c] for c in columns], float(success[columns[0]])
        enough = threshold(pool, policy)
        return Route(
            self.name,
            query.skills,
            ranking,
            (order[0],),
            tuple(order[1:]) if chance < enough else (),
            _reason(order, chance, enough),
            enough=enough,
            step=1,
            snapshot=pool.knowledge.name,
        )


def front(
    chances: NDArray[np.float64],
    thrift: NDArray[np.intp],
    allowed: NDArray[np.bool_],
    most: int,
) -> list[int]:
    """Columns, cheapest first, of those with a better chance than every cheaper one.

    ``chances``, ``thrift`` (rank by cost) and ``allowed``: (e) each.  Of a front longer than
    ``most`` the last, which is the best, stays, and before it the cheapest.
    """
    order = np.argsort(thrift)
    order = order[allowed[order]]
    found = chances[order]
    before = np.concatenate(([-np.inf], np.maximum.accumulate(found)[:-1]))
    columns: list[int] = order[found > before].tolist()
    return columns if len(columns) <= most else [*columns[: most - 1], columns[-1]]


def threshold(pool: Pool, policy: Policy) -> float:
    """The agreement at which the cascade stops; learned once for a snapshot and a pool."""
    memory = pool.knowledge.memory
    if memory is None or len(memory) < LEAST_QUESTIONS:
        return policy.confidence
    what = ("cascade", policy.target, policy.most, policy.latency_s)
    return pool.derive(what, lambda: _learned(pool, policy, memory))


def _learned(pool: Pool, policy: Policy, memory: Memory) -> float:
    memory = memory.of_experts(pool.names)
    asked = np.isfinite(memory.correct)
    slow = pool.costs.too_slow(policy.latency_s)
    allowed = asked if slow is None else asked & ~slow
    memory, allowed = memory.at(np.flatnonzero(allowed.any(axis=1))), allowed[allowed.any(axis=1)]
    if len(memory) < LEAST_QUESTIONS:
        return policy.confidence
    chances = held_out(memory)
    orders = [front(chances[q], pool.thrift, allowed[q], policy.most) for q in range(len(memory))]
    played = rehearse(memory, orders, chances, pool.costs.expected)
    return _lowest(played, policy.target * _best_single(memory))


def _lowest(played: Rehearsal, wanted: float) -> float:
    """The lowest threshold from which on the accuracy is ``wanted``; the best one if none is."""
    accuracy = np.array([played.until(float(t))[0].mean() for t in GRID])
    short = np.flatnonzero(accuracy < wanted)
    if len(short) == 0:
        return float(GRID[0])
    if short[-1] == len(GRID) - 1:
        return float(GRID[np.argmax(accuracy)])
    return float(GRID[short[-1] + 1])


def _best_single(memory: Memory) -> float:
    """The accuracy of the best single expert; what it was not asked counts as wrong."""
    return float(np.nan_to_num(memory.correct).mean(axis=0).max())


def _reason(order: list[str], chance: float, enough: float) -> str:
    first = f"{order[0]} is the cheapest worth asking, {chance:.2f}"
    if chance >= enough:
        return f"{first}, and that is enough ({enough:.2f})"
    if len(order) == 1:
        return f"{first}, and no dearer one is better"
    return f"{first}; until the vote reaches {enough:.2f}, then {', '.join(order[1:])}"
