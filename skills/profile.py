"""What an estimate is before, and besides, any fit: the prior, and the Beta posterior.

Profiles themselves are made in :mod:`skills.estimate`.  Pure: no I/O, no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from coterie.types import Estimate

UNKNOWN = Estimate(mean=0.5, sd=math.sqrt(1 / 12), n=0.0)
"""What is known of an expert that was never graded: the uniform distribution."""


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How strongly little evidence is pulled towards what is known on a wider scale.

    Standard deviations of log-odds, before the data has spoken: an ``expert``'s level around the
    pool's, an expert's ability at one ``skill`` around its level, a ``question`` around its
    skill's difficulty, a skill's difficulty (``topic``) around all questions'.  The smaller one
    is, the harder the pull.

    The first two are estimated anew from the data; what is given here counts as much as ``trust``
    fully known experts or abilities would, so that thin data changes little.  With ``math.inf``
    they stay as they are, and no skills are taken to go together.
    """

    expert: float = 1.0
    skill: float = 0.7
    question: float = 2.0
    topic: float = 0.7
    trust: float = 3.0


def beta_estimate(correct: float, n: float, *, prior_mean: float, prior_n: float) -> Estimate:
    """The Beta posterior after ``correct`` of ``n`` (fractions allowed), from a Beta prior."""
    alpha = prior_mean * prior_n + correct
    total = prior_n + n
    mean = alpha / total
    return Estimate(mean, math.sqrt(mean * (1 - mean) / (total + 1)), n)
