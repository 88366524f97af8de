"""The routers every other one has to beat: best single, everyone, at random."""

from __future__ import annotations

import hashlib
import random

from coterie.types import Route
from orchestrator.routing.base import Policy, Pool, Query, Router, rank


class BestSingle(Router):
    """Always the expert with the highest overall rate, whatever the question."""

    name = "best-single"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(Query(), pool)
        best = ranking[0]
        reason = f"{best.expert} has the highest overall rate, {best.score:.2f}"
        return Route(
            self.name,
            query.skills,
            ranking,
            (best.expert,),
            (),
            reason,
            snapshot=pool.knowledge.name,
        )


class Majority(Router):
    """Everyone is asked, ``policy.most`` at most, best first; the vote decides."""

    name = "majority"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        ranking = rank(query, pool)
        chosen = ranking.names[: policy.most]
        return Route(
            self.name,
            query.skills,
            ranking,
            chosen,
            (),
            f"all {len(chosen)} are asked",
            snapshot=pool.knowledge.name,
        )


class RandomExpert(Router):
    """One expert at random: seeded, and the same for the same question and pool."""

    name = "random"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        text = repr((policy.seed, query.text, query.skills, pool.names))
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        chosen = random.Random(seed).choice(pool.names)
        return Route(
            self.name,
            query.skills,
            rank(query, pool),
            (chosen,),
            (),
            f"drawn with seed {policy.seed}",
            snapshot=pool.knowledge.name,
        )
