"""Composition of Experts: a prompt's category decides who serves it, within budgets.

Source: Composition of Experts (arXiv 2412.01868).  Two steps: a classifier sorts the prompt into a
category (:mod:`skills.classifier`), and a mixed-integer program has decided beforehand which expert
serves which category (:mod:`orchestrator.routing.mapping`).  Prompts the classifier is unsure of
(entropy above a threshold) go to a *general* category, a row of the mapping like any other
(Robust-CoE).  How good an expert is at a category, w_ce, and when a prompt is uncertain, are
learned in :mod:`skills.category_rates`.  The score is Σ_c P(c | prompt) w_ce.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route, Term
from orchestrator.routing.base import (
    Policy,
    Pool,
    Query,
    Ranking,
    Router,
    ranked,
)
from orchestrator.routing.mapping import Program, assign
from orchestrator.routing.neighbours import unlike_memory
from skills.category_rates import GENERAL, CategoryRates, category_rates
from skills.classifier import classifier_of, entropy

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A mapping, with what decisions need of it.

    ``pool``: the hosted experts; ``value`` and ``sd``: (c, hosted); ``worth``: (c, hosted) the
    objective at that value; ``order``: of each category, the columns of those that may be asked,
    the serving one first and the others by worth; ``cost`` and ``accuracy``: what a prompt is
    expected to cost, and how often its expert is right.
    """

    pool: Pool
    categories: tuple[str, ...]
    threshold: float
    value: Matrix
    sd: Matrix
    worth: Matrix
    order: tuple[tuple[int, ...], ...]
    cost: float
    accuracy: float

    @property
    def mapping(self) -> dict[str, str]:
        """The expert that serves each category."""
        names = self.pool.names
        return {c: names[o[0]] for c, o in zip(self.categories, self.order, strict=True)}


class Point(NamedTuple):
    """One point of the frontier."""

    cost: float
    accuracy: float
    mapping: Mapping[str, str]


class CoeRouter(Router):
    """Asks the expert that the prompt's category is mapped to.

    Where the policy allows for more than one, further hosted experts follow in the order of their
    value for the category, so that a vote is possible; under a mean-cost budget nobody follows,
    since the budget is spent on one expert a prompt.
    """

    name = "coe"
    stays = False  # a fixed mapping keeps a conversation while its category does, see _order_for

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        plan = plan_of(pool, policy)
        weights, row, because = _sorted(query, pool, plan)
        recruits = _recruits(plan, row, _order_for(plan, row, query, policy), policy)
        value = plan.value[row]
        alone = len(recruits) == 1 or value[recruits[0]] >= policy.confidence
        first = 1 if alone else min(policy.first, policy.most)
        names = [plan.pool.names[i] for i in recruits]
        return Route(
            self.name,
            query.skills,
            _ranking(plan, weights, policy),
            tuple(names[:first]),
            tuple(names[first : policy.most]),
            f"{because}{names[0]} serves it, right at {value[recruits[0]]:.2f}",
            enough=policy.confidence,
            step=policy.most,
            snapshot=pool.knowledge.name,
        )

    def prepare(self, pool: Pool, policy: Policy) -> None:
        super().prepare(pool, policy)
        plan_of(pool, policy)


def frontier(pool: Pool, policy: Policy, budgets: Sequence[float]) -> list[Point]:
    """What each mean-cost budget buys: the accuracy–cost curve, as cross-validated on the memory.

    Costs are in the unit of the pool's.  Raises ConfigurationError for a budget that no
    mapping is within.
    """
    plans = [plan_of(pool, replace(policy, mean_cost=budget)) for budget in budgets]
    return [Point(plan.cost, plan.accuracy, plan.mapping) for plan in plans]


# --- the plan -----------------------------------------------------------------------------------


def rates_of(pool: Pool) -> CategoryRates:
    """How the pool's experts do on each category."""
    return pool.knowledge.once(("coe rates", pool.names), lambda: _rates(pool))


def _rates(pool: Pool) -> CategoryRates:
    fitted, memory = classifier_of(pool.knowledge), pool.knowledge.memory
    overall, sd = pool.table.mean[0], pool.table.sd[0]
    if fitted is None or memory is None:
        return CategoryRates.overall(overall, sd)
    return category_rates(fitted, memory.of_experts(pool.names), overall)


def plan_of(pool: Pool, policy: Policy) -> Plan:
    """The mapping for these experts under the policy's budgets; solved once."""
    hosting = None if policy.hosting_gb is None else pool.hosting
    budgets = (policy.hosting_gb, policy.mean_cost, policy.cost_weight, policy.latency_s)
    return pool.derive(("coe plan", hosting, budgets), lambda: _plan(pool, policy))


def _plan(pool: Pool, policy: Policy) -> Plan:
    rates, everyone = rates_of(pool), np.arange(len(pool.names))
    slow = pool.costs.too_slow(policy.latency_s)
    fast = everyone if slow is None else np.flatnonzero(~slow)
    worth = policy.worth(rates.value, rates.length * pool.costs.relative)
    program = Program(
        worth[:, fast],
        rates.share,
        (rates.length * pool.costs.expected)[:, fast],
        np.array(pool.hosting.engine)[fast],
        np.array(pool.hosting.memory_gb),
    )
    found = assign(program, hosting_gb=policy.hosting_gb, mean_cost=policy.mean_cost)
    # Who is too slow serves nothing, but stays a candidate for when nobody else is there.
    kept = everyone if policy.hosting_gb is None else fast[found.hosted]
    inside = Pool([pool.experts[i] for i in kept], pool.knowledge)
    may = np.flatnonzero(np.isin(kept, fast))
    return Plan(
        inside,
        rates.categories,
        rates.threshold,
        rates.value[:, kept],
        rates.sd[:, kept],
        worth[:, kept],
        _orders(worth[:, kept], np.searchsorted(kept, fast[found.serving]), may, inside),
        program.mean(program.cost, found.serving),
        program.mean(rates.value[:, fast], found.serving),
    )


def _orders(
    worth: Matrix, serving: NDArray[np.intp], may: NDArray[np.intp], pool: Pool
) -> tuple[tuple[int, ...], ...]:
    """Of each category, who serves it and then the others that ``may``, best first."""
    best = [may[np.lexsort((pool.thrift[may], -row[may]))].tolist() for row in worth]
    return tuple(
        (first, *(i for i in order if i != first))
        for first, order in zip(serving.tolist(), best, strict=True)
    )


# --- a decision ---------------------------------------------------------------------------------


def _sorted(query: Query, pool: Pool, plan: Plan) -> tuple[Matrix, int, str]:
    """The weight of each category, (c), the one that decides, and why."""
    general = len(plan.categories) - 1
    everything = np.zeros(general + 1)
    everything[general] = 1.0
    fitted = classifier_of(pool.knowledge)
    if why := unlike_memory(query, pool) or ("" if fitted else "no categories were learned"):
        return everything, general, f"general, since {why}; "
    assert fitted is not None
    assert query.vector is not None
    found = fitted.classifier.probabilities(query.vector)
    row = int(found.argmax())
    name, unsure = plan.categories[row], entropy(found)
    if unsure > plan.threshold:
        told = f"entropy {unsure:.2f} over {plan.threshold:.2f}, {name} at {found[row]:.2f}"
        return everything, general, f"{GENERAL}: {told}; "
    everything[:general], everything[general] = found, 0.0
    return everything, row, f"category {name} at {found[row]:.2f}; "


def _order_for(plan: Plan, row: int, query: Query, policy: Policy) -> tuple[int, ...]:
    """The order of the category's experts, in columns of the plan's pool.

    A conversation whose turn has no category of its own stays with its expert, unless that may
    cost more.
    """
    order = plan.order[row]
    general = row == len(plan.categories) - 1
    if general and policy.mean_cost is None and query.holder in plan.pool.names:
        holder = plan.pool.names.index(query.holder)
        if holder in order:
            return (holder, *(i for i in order if i != holder))
    return order


def _recruits(plan: Plan, row: int, order: tuple[int, ...], policy: Policy) -> list[int]:
    """The expert that serves, then those that could change its answer."""
    if policy.mean_cost is not None:
        return [order[0]]
    worth = plan.worth[row]
    best = worth[order[0]]
    floor = policy.comparable * best if best > 0 else best
    return [order[0], *(i for i in order[1:] if worth[i] >= floor)]


def _ranking(plan: Plan, weights: Matrix, policy: Policy) -> Ranking:
    sd = np.sqrt(weights**2 @ plan.sd**2)
    success = weights @ plan.value
    return ranked(plan.pool, policy, success, sd, lambda column: _terms(plan, weights, column))


def _terms(plan: Plan, weights: Matrix, column: int) -> tuple[Term, ...]:
    """What the likely categories, and all others together, add to the score."""
    likely = [i for i in np.argsort(-weights, kind="stable").tolist() if weights[i] >= 0.05]
    terms = [
        Term(
            f"{plan.categories[i]} {plan.value[i, column]:.2f} × {weights[i]:.2f}",
            float(weights[i] * plan.value[i, column]),
        )
        for i in likely
    ]
    rest = float(weights @ plan.value[:, column]) - sum(term.value for term in terms)
    others = 1 - float(weights[likely].sum())
    return (*terms, Term(f"other categories × {others:.2f}", rest)) if others > 1e-9 else (*terms,)
