"""Adaptive k: recruits while a further expert's expected gain is worth its cost.

Source: more experts for harder inputs and experts that cost nothing ("Harder Tasks Need More
Experts", arXiv 2403.07652; AdaMoE, arXiv 2406.13233), carried from layers of one model to whole
models: "no further expert" is one of the choices, and the one taken when nothing else pays.

The best expert is asked first.  After each answer, with π the belief in the answers so far, the
next experts in the order of merit are recruited if for some j up to ``gain.LOOKAHEAD``

    gain(π, next j) - λ × (cost of the next j) > LEAST_GAIN

(:mod:`orchestrator.routing.worth`); one is asked at a time, since its answer may settle the matter
for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aggregator.base import Case
from coterie.types import Ballot, Route, Verdict
from orchestrator.routing.base import Policy, Pool, Query, Router, chances, rank
from orchestrator.routing.worth import Next, belief_of, best_next


class Adaptive(Router):
    """Asks one by one, best first, while it pays."""

    name = "adaptive"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool, policy)
        order = tuple(pool.names[c] for c in ranking.askable_columns[: policy.most])
        chance = ranking.chances[order[0]]
        more = best_next([chance], order[1:], ranking.chances, pool, policy, query.options)
        return Route(
            self.name,
            query.skills,
            ranking,
            order[:1],
            order[1:] if more.pays else (),
            _reason(order, chance, more),
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
        belief = belief_of(Case(tuple(ballots), believed, query.options), verdict)
        more = best_next(belief, left, believed, pool, policy, query.options)
        return left[:1] if more.pays else ()


def _reason(order: tuple[str, ...], chance: float, more: Next) -> str:
    best = f"{order[0]} is the best for its cost at {chance:.2f}"
    if more.pays:
        return f"{best}; up to {len(order) - 1} more while they are worth it, now {more.worth:.3f}"
    told = f"what the next could add, {more.worth:.3f}, is not worth asking"
    return f"{best}; no further expert: {told}"
