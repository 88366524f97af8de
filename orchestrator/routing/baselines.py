"""The routers every other one has to beat: best single, everyone, at random."""

from __future__ import annotations

import hashlib
import random

from coterie.types import Candidate, Route, SkillWeight
from orchestrator.routing.base import Policy, Pool, rank


class BestSingle:
    """Always the expert with the highest overall rate, whatever the question."""

    name = "best-single"

    def route(self, skills: tuple[SkillWeight, ...], pool: Pool, policy: Policy) -> Route:
        candidates = _by_overall(pool)
        best = candidates[0]
        reason = f"{best.expert} has the highest overall rate, {best.score:.2f}"
        return Route(self.name, skills, candidates, (best.expert,), (), reason)


class Majority:
    """Everyone is asked, ``policy.most`` at most, best first; the vote decides."""

    name = "majority"

    def route(self, skills: tuple[SkillWeight, ...], pool: Pool, policy: Policy) -> Route:
        candidates = rank(skills, pool)
        chosen = tuple(c.expert for c in candidates[: policy.most])
        return Route(self.name, skills, candidates, chosen, (), f"all {len(chosen)} are asked")


class RandomExpert:
    """One expert at random: seeded, and the same for the same skills and pool."""

    name = "random"

    def route(self, skills: tuple[SkillWeight, ...], pool: Pool, policy: Policy) -> Route:
        candidates = rank(skills, pool)
        text = repr((policy.seed, skills, sorted(e.name for e in pool.experts)))
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        chosen = random.Random(seed).choice(sorted(c.expert for c in candidates))
        return Route(self.name, skills, candidates, (chosen,), (), f"drawn with seed {policy.seed}")


def _by_overall(pool: Pool) -> tuple[Candidate, ...]:
    found = [
        Candidate(e.name, overall.mean, overall.sd, f"overall rate, n={overall.n:.0f}")
        for e in pool.experts
        for overall in [pool.profile(e.name).overall]
    ]
    return tuple(sorted(found, key=lambda c: (-c.score, c.expert)))
