"""Graded answers become probabilities of success, with shrinkage and uncertainty.

Symbolic-MoE (arXiv 2503.05641, section 3.1) adds +1 or -1 per keyword; such a sum mixes up how
often a skill occurred with how good the expert is at it.  Here each (expert, skill) is a Beta
posterior instead: a skill seen a few times stays near the expert's overall rate, and its spread
says how little is known.  Pure: no I/O, no clock.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.types import Estimate, GradedAnswer, Profile


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How strongly little evidence is pulled towards what is known on a wider scale.

    ``overall`` and ``skill`` are prior strengths in graded answers: an expert's overall rate is
    pulled to ``rate`` by the first, a skill's rate to the expert's overall one by the second.
    """

    rate: float = 0.5
    overall: float = 2.0
    skill: float = 4.0


UNKNOWN = Estimate(mean=0.5, sd=math.sqrt(1 / 12), n=0.0)
"""What is known of an expert that was never graded: the uniform distribution."""


def beta_estimate(correct: float, n: float, *, prior_mean: float, prior_n: float) -> Estimate:
    """The Beta posterior after ``correct`` of ``n`` (fractions allowed), from a Beta prior."""
    alpha = prior_mean * prior_n + correct
    total = prior_n + n
    mean = alpha / total
    return Estimate(mean, math.sqrt(mean * (1 - mean) / (total + 1)), n)


def profile_of(
    expert: str, answers: Sequence[GradedAnswer], shrinkage: Shrinkage | None = None
) -> Profile:
    """One expert's profile from its graded answers.

    An answer counts for each of its question's skills by that skill's weight, so that the counts
    of one answer sum to one.
    """
    s = shrinkage or Shrinkage()
    overall = beta_estimate(
        sum(a.correct for a in answers), len(answers), prior_mean=s.rate, prior_n=s.overall
    )
    n: defaultdict[str, float] = defaultdict(float)
    correct: defaultdict[str, float] = defaultdict(float)
    for answer in answers:
        for skill in answer.skills:
            n[skill.skill] += skill.weight
            correct[skill.skill] += skill.weight * answer.correct
    skills = {
        name: beta_estimate(correct[name], n[name], prior_mean=overall.mean, prior_n=s.skill)
        for name in sorted(n)
    }
    return Profile(expert, overall, skills)


def profiles_of(
    answers: Iterable[GradedAnswer], shrinkage: Shrinkage | None = None
) -> tuple[Profile, ...]:
    """The profiles of every expert that occurs in ``answers``, by name."""
    by_expert: defaultdict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        by_expert[answer.expert].append(answer)
    return tuple(profile_of(name, by_expert[name], shrinkage) for name in sorted(by_expert))
