"""Adaptive k: recruits while a further expert's expected gain is worth its cost.

Source: more experts for harder inputs and experts that cost nothing ("Harder Tasks Need More
Experts", arXiv 2403.07652; AdaMoE, arXiv 2406.13233), carried from layers of one model to whole
models: "no further expert" is one of the choices, and the one taken when nothing else pays.

The best expert is asked first.  After each answer, with π the belief in the answers so far, the
next experts in the order of merit are recruited if for some j up to ``gain.LOOKAHEAD``

    gain(π, next j) - λ × (cost of the next j) > LEAST_GAIN,

λ being ``Policy.cost_weight`` and cost in answers of the best single expert; one is asked at a
time, since its answer may settle the matter for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from aggregator.base import Case
from aggregator.vote import OPEN_ANSWERS, answers_given, posteriors
from coterie.types import Ballot, Route, Verdict
from orchestrator.routing.base import Policy, Pool, Query, Router, chances, rank
from orchestrator.routing.gain import LOOKAHEAD, gain

LEAST_GAIN = 0.001
"""A gain under a thousandth is no reason to make anybody wait."""


class Adaptive(Router):
    """Asks one by one, best first, while it pays."""

    name = "adaptive"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool, policy)
        order = tuple(pool.names[c] for c in ranking.askable_columns[: policy.most])
        chance = ranking.chances[order[0]]
        worth = _worth([chance], order[1:], ranking.chances, pool, policy, query.options)
        return Route(
            self.name,
            query.skills,
            ranking,
            order[:1],
            order[1:] if worth > LEAST_GAIN else (),
            _reason(order, chance, worth),
            enough=1.0,
            step=1,
            snapshot=pool.knowledge.name,
        )

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
        left = tuple(name for name in route.reserve if name not in asked)
        left = left[: max(0, policy.most - len(asked))]
        if verdict.leader is None or not left:
            return ()
        believed = chances(route)
        belief = _belief(Case(tuple(ballots), believed, query.options), verdict)
        worth = _worth(belief, left, believed, pool, policy, query.options)
        return left[:1] if worth > LEAST_GAIN else ()


def _worth(
    belief: Sequence[float],
    left: Sequence[str],
    chances: Mapping[str, float],
    pool: Pool,
    policy: Policy,
    options: int,
) -> float:
    """What asking the next few of ``left`` is worth at best, its cost taken off; 0: nobody left."""
    answers = max(options or OPEN_ANSWERS, len(belief) + 1, 2)
    cost, best = 0.0, 0.0
    for j, name in enumerate(left[:LOOKAHEAD], start=1):
        cost += policy.cost_weight * float(pool.costs.relative[pool.names.index(name)])
        likely = [chances[other] for other in left[:j]]
        best = max(best, gain(belief, likely, answers) - cost)
    return best


def _belief(case: Case, verdict: Verdict) -> list[float]:
    """The belief in each answer given; the leader's is the verdict's own, whatever vote gave it."""
    given = answers_given(case)
    if not given:
        return []
    found = posteriors(given, case.chances, answers=case.options or OPEN_ANSWERS)
    leading = next((a for a, who in given.items() if verdict.leader in who), None)
    if leading is None:
        return []
    others = 1.0 - found[leading]
    scale = (1.0 - verdict.agreement) / others if others > 0 else 0.0
    return [verdict.agreement if a == leading else p * scale for a, p in found.items()]


def _reason(order: tuple[str, ...], chance: float, worth: float) -> str:
    best = f"{order[0]} is the best for its cost at {chance:.2f}"
    if worth > LEAST_GAIN:
        return f"{best}; up to {len(order) - 1} more while they are worth it, now {worth:.3f}"
    return f"{best}; no further expert: what the next could add, {worth:.3f}, is not worth asking"
