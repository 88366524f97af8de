"""The routers every other one has to beat."""

from __future__ import annotations

import numpy as np

from coterie.errors import RequestError
from coterie.types import Route, Term
from orchestrator.routing.base import Policy, Pool, Query, Router, rank, ranked
from orchestrator.routing.coe import rates_of
from orchestrator.routing.lots import lots
from orchestrator.routing.neighbours import unlike_memory
from orchestrator.routing.single import single
from skills.classifier import classifier_of


class BestSingle(Router):
    """Always the expert with the highest overall rate, whatever the question."""

    name = "best-single"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(Query(), pool, policy)
        best = ranking[0]
        reason = f"{best.expert} has the highest overall rate, {best.success:.2f}"
        return single(self.name, query, pool, ranking, best.expert, reason)


class RandomExpert(Router):
    """One expert at random: seeded, and the same for the same question and pool."""

    name = "random"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool, policy)
        chosen = lots(self.name, policy.seed, query).choice(sorted(ranking.askable))
        reason = f"drawn with seed {policy.seed}"
        return single(self.name, query, pool, ranking, chosen, reason)


class Everyone(Router):
    """Everyone is asked, ``policy.most`` at most, best first; the vote decides."""

    name = "all"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool, policy)
        chosen = ranking.askable[: policy.most]
        reason = f"all {len(chosen)} are asked"
        snapshot = pool.knowledge.name
        return Route(self.name, query.skills, ranking, chosen, (), reason, snapshot=snapshot)


class PerCategory(Router):
    """The best expert of the category the question most likely falls into.

    Categories are the profiling benchmark's own; a question's is predicted, never looked up.
    """

    name = "per-category"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        fitted = None if unlike_memory(query, pool) else classifier_of(pool.knowledge)
        if fitted is None or query.vector is None:
            ranking = rank(Query(), pool, policy)
            reason = f"no category can be told; {ranking.names[0]} has the highest overall rate"
            return single(self.name, query, pool, ranking, ranking.names[0], reason)
        probability = fitted.classifier.probabilities(query.vector)
        row = int(np.argmax(probability))
        known = rates_of(pool)
        rates, sd, name = known.value[row], known.sd[row], known.categories[row]

        def terms(column: int) -> tuple[Term, ...]:
            return (Term(f"rate in {name!r}", float(rates[column])),)

        ranking = ranked(pool, policy, rates, sd, terms)
        best = ranking.names[0]
        reason = (
            f"{name!r} is the likeliest category, {probability[row]:.2f}; "
            f"{best} has its highest rate, {ranking.chances[best]:.2f}"
        )
        return single(self.name, query, pool, ranking, best, reason)


class Oracle(Router):
    """Whoever is right.  Only an evaluation knows that: it never asks this class for a route."""

    name = "oracle"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        raise RequestError(
            "the strategy 'oracle' has to know who is right, so it exists in evaluations alone: "
            "use `coterie eval replay --strategy oracle`, or choose another strategy here",
            param="model",
        )
