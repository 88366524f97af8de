"""What a router is: skills, experts and profiles in, a route out.  Pure, without I/O or clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coterie.types import Candidate, Expert, Profile, Route, SkillWeight
from skills.profile import UNKNOWN


@dataclass(frozen=True, slots=True)
class Policy:
    """How many are asked.

    ``first`` experts at most in the first round, ``most`` in all; one who is right with
    probability ``confidence`` or more is asked alone, and a vote that reaches it ends the asking.
    An expert whose score is under ``comparable`` times the best one's has nothing to add: it is
    kept only as a substitute.
    """

    first: int = 3
    most: int = 5
    confidence: float = 0.9
    comparable: float = 0.6
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pool:
    """Who can be asked (enabled, and the conversation fits), and what is known of them."""

    experts: Sequence[Expert]
    profiles: Mapping[str, Profile]

    def profile(self, expert: str) -> Profile:
        """The expert's profile; an uninformed one where it was never graded."""
        return self.profiles.get(expert) or Profile(expert, UNKNOWN)


class Router(Protocol):
    """Decides who is asked."""

    name: str

    def route(self, skills: tuple[SkillWeight, ...], pool: Pool, policy: Policy) -> Route:
        """The route for a question of these ``skills``; the pool is never empty."""


def expected_success(skills: tuple[SkillWeight, ...], profile: Profile) -> tuple[float, float]:
    """Mean and spread of the expert's success on a question that is this mixture of skills.

    The mean is sum_s w_s p_s; the skills' errors are taken as independent.
    """
    mean = sum(s.weight * profile.at(s.skill).mean for s in skills)
    variance = sum((s.weight * profile.at(s.skill).sd) ** 2 for s in skills)
    return mean, math.sqrt(variance)


def rank(skills: tuple[SkillWeight, ...], pool: Pool) -> tuple[Candidate, ...]:
    """Every expert by expected success; ties go to the cheaper, then to the name."""
    found = [(_candidate(skills, pool.profile(e.name)), _price(e)) for e in pool.experts]
    found.sort(key=lambda pair: (-pair[0].score, pair[1], pair[0].expert))
    return tuple(candidate for candidate, _ in found)


def _candidate(skills: tuple[SkillWeight, ...], profile: Profile) -> Candidate:
    mean, sd = expected_success(skills, profile)
    if profile.overall.n == 0:
        return Candidate(profile.expert, mean, sd, "no profile yet: nothing is known of it")
    parts = []
    for s in skills:
        estimate = profile.at(s.skill)
        known = f"n={estimate.n:.0f}" if s.skill in profile.skills else "overall rate"
        parts.append(f"{s.skill} {estimate.mean:.2f} ({known}) × {s.weight:.2f}")
    return Candidate(profile.expert, mean, sd, " + ".join(parts))


def _price(expert: Expert) -> tuple[float, float]:
    active = expert.active_params_b or expert.total_params_b or math.inf
    return (expert.prompt_price + expert.completion_price, active)
