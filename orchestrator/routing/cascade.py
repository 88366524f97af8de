"""A cheap expert first, dearer ones only where it is not sure enough or they disagree.

Source: mixtures of weak and strong experts, and cascades in the manner of FrugalGPT (Chen, Zaharia
and Zou, 2023, arXiv 2305.05176, section 3), with two changes: whether an answer is good enough is
the posterior of the vote among those asked so far, not a scorer trained for it; and the order is
the question's own, from the Pareto front of cost and expected success on its skills.

How to climb is learned: the least chance, as a share of the best one's, with which an expert is
worth asking; how many are asked at most; and the agreement that is enough.  Every remembered
question is played through cascades on a grid of the three, with chances from profiles made without
it (:mod:`skills.heldout`).  Taken is the cheapest whose accuracy is at least ``Policy.target`` ×
that of the best single expert, by ``CAUTION`` standard errors of the difference, since the cheapest
of many is partly the luckiest.  Where that is dearer than the best single expert and no better
accuracy was wanted, there is nothing to save: the best single expert is asked.  Where no cascade
reaches the target, the most accurate is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Router, rank
from orchestrator.routing.rehearsal import Stage
from skills.heldout import held_out
from skills.memory import Memory

LEAST_QUESTIONS = 50
"""Fewer remembered questions teach nothing: everyone on the front is worth asking, and the policy's
confidence is enough."""
REHEARSED = 2500
"""Remembered questions that are played, at most."""
CAUTION = 0.5
NOBODY_ELSE = math.inf
"""The floor that nobody reaches: the best single expert alone is asked."""
FLOORS = (0.0, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
ENOUGH = np.linspace(0.2, 0.98, 40)

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Steps:
    """How to climb: who is worth asking (``floor`` × the best one's chance), how many are asked at
    ``most``, and the agreement that is ``enough``."""

    floor: float
    most: int
    enough: float


@dataclass(frozen=True, slots=True)
class Played:
    """How one way to climb did: ``surplus`` is what its accuracy is above the wanted one, in
    standard errors of the difference."""

    steps: Steps
    accuracy: float
    cost: float
    surplus: float


class Cascade(Router):
    """Asks one by one, cheapest first, until the vote is sure enough."""

    name = "cascade"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool, policy)
        success = ranking.success
        steps = learned_steps(pool, policy)
        columns = _columns(pool, success, ranking.askable_columns, steps)
        order, chance = [pool.names[c] for c in columns], float(success[columns[0]])
        return Route(
            self.name,
            query.skills,
            ranking,
            (order[0],),
            tuple(order[1:]) if chance < steps.enough else (),
            _reason(order, chance, steps),
            enough=steps.enough,
            step=1,
            snapshot=pool.knowledge.name,
        )


def _columns(pool: Pool, success: Floats, askable: Sequence[int], steps: Steps) -> list[int]:
    """The columns to ask, in order."""
    if steps.floor == NOBODY_ELSE:
        return [max(askable, key=lambda c: (pool.table.mean[0, c], -pool.thrift[c]))]
    allowed = np.zeros(len(success), dtype=bool)
    allowed[askable] = True
    return shortened(front(success, pool.thrift, allowed, steps.floor), steps.most)


def front(success: Floats, thrift: NDArray[np.intp], allowed: Mask, floor: float) -> list[int]:
    """Columns, cheapest first, of those with a better chance than every cheaper one.

    ``success``, ``thrift`` (rank by cost) and ``allowed``: (e) each; nobody under ``floor`` × the
    best chance.
    """
    order = np.argsort(thrift)
    order = order[allowed[order]]
    found = success[order]
    before = np.concatenate(([-np.inf], np.maximum.accumulate(found)[:-1]))
    columns: list[int] = order[(found > before) & (found >= floor * found.max())].tolist()
    return columns


def shortened(columns: Sequence[int], most: int) -> list[int]:
    """At ``most`` of a front: the last, which is the best, and before it the cheapest."""
    return [*columns[:-1][: most - 1], columns[-1]]


def learned_steps(pool: Pool, policy: Policy) -> Steps:
    """How to climb in this pool; learned once for a snapshot."""
    memory = pool.knowledge.memory
    if memory is None or len(memory) < LEAST_QUESTIONS:
        return Steps(0.0, policy.most, policy.confidence)
    what = ("cascade", policy.target, policy.most, policy.latency_s)
    return pool.derive(what, lambda: _learned(pool, policy, memory))


def _learned(pool: Pool, policy: Policy, memory: Memory) -> Steps:
    memory = memory.of_experts(pool.names)
    allowed = np.isfinite(memory.correct)
    slow = pool.costs.too_slow(policy.latency_s)
    if slow is not None:
        allowed &= ~slow
    rows = np.flatnonzero(allowed.any(axis=1))
    if len(rows) < LEAST_QUESTIONS:
        return Steps(0.0, policy.most, policy.confidence)
    success = held_out(memory)
    rows = rows[:: -(-len(rows) // REHEARSED)]
    memory, success, allowed = memory.at(rows), success[rows], allowed[rows]
    correct = np.where(allowed, np.nan_to_num(memory.correct), 0.0)
    best = int(np.argmax(correct.mean(axis=0)))
    played = list(_played(pool, policy, memory, success, allowed, correct[:, best]))
    reached = [p for p in played if p.surplus >= CAUTION]
    if not reached and policy.target > 1.0:
        return max(played, key=lambda p: (p.accuracy, -p.cost)).steps
    found = min(reached, key=lambda p: (p.cost, -p.accuracy), default=None)
    if found is None or (policy.target <= 1.0 and found.cost > pool.costs.expected[best]):
        return Steps(NOBODY_ELSE, 1, 0.0)
    return found.steps


def _played(
    pool: Pool, policy: Policy, memory: Memory, success: Floats, allowed: Mask, best: Floats
) -> Iterator[Played]:
    """Every way to climb on the grid, and how it did; ``best``: (q) whether the best single expert
    was right."""
    stage = Stage(memory)
    wanted = policy.target * best
    for floor in FLOORS:
        fronts = [front(s, pool.thrift, a, floor) for s, a in zip(success, allowed, strict=True)]
        for most in sorted({min(n, policy.most) for n in (1, 2, 3, policy.most)}):
            orders = [shortened(columns, most) for columns in fronts]
            rehearsal = stage.rehearse(orders, success, pool.costs.expected)
            for enough in ENOUGH:
                right, cost = rehearsal.until(float(enough))
                gain = right - wanted
                error = float(gain.std()) / len(gain) ** 0.5 or 1.0
                yield Played(
                    Steps(floor, most, float(enough)),
                    float(right.mean()),
                    float(cost.mean()),
                    float(gain.mean()) / error,
                )


def _reason(order: list[str], chance: float, steps: Steps) -> str:
    if steps.floor == NOBODY_ELSE:
        return f"no cascade is as good for less: {order[0]} has the highest overall rate"
    first = f"{order[0]} is the cheapest worth asking, {chance:.2f}"
    if chance >= steps.enough:
        return f"{first}, and that is enough ({steps.enough:.2f})"
    if len(order) == 1:
        return f"{first}, and no dearer one is better"
    return f"{first}; until the vote reaches {steps.enough:.2f}, then {', '.join(order[1:])}"
