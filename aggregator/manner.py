"""What is known of a vote besides its answer: who gave it, and in what manner.

A short answer that names an option in a form of its own, or one after thrice the usual number of
tokens, is right less often than the expert's rate says; how much less differs by expert.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.choice_model import Matrix
from coterie.types import Reading

SURE = 0.995
"""Nobody's expected success counts for more: one vote must never be infinite."""

LONGEST = 3.0
"""A length further than this from the usual one counts as this far."""

N_SHARED, N_MANNER, N_NONE = 5, 4, 3
"""How many features :func:`shared_features`, :func:`manner_features` and :func:`none_features`
give."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean and spread of the logarithm of an expert's usual length, in tokens."""

    mean: float
    sd: float

    @classmethod
    def of(cls, tokens: NDArray[np.floating]) -> Lengths:
        """The lengths of one expert's completions, NaN where not known."""
        known = np.log1p(tokens[~np.isnan(tokens)].astype(np.float64))
        if len(known) < 2:
            return cls(0.0, 1.0)
        return cls(float(known.mean()), max(float(known.std()), 1e-3))

    def unusual(self, tokens: float | None) -> float:
        """How many spreads this length is from the usual one; 0 where it is not known."""
        if tokens is None or np.isnan(tokens):
            return 0.0
        z = (float(np.log1p(tokens)) - self.mean) / self.sd
        return min(max(z, -LONGEST), LONGEST)


def shared_features(chance: Matrix, reading: NDArray[np.integer], unusual: Matrix) -> Matrix:
    """(..., 5) of votes, what counts alike for every expert.

    The log-odds of its expected success, whether its answer was not in the form asked for, whether
    it was named in a form of its own, and how unusual its length is, with the square.
    """
    doubtful = (reading >= Reading.NAMED).astype(float)
    named = (reading == Reading.NAMED).astype(float)
    odds = log_odds(chance)
    return np.stack([odds, doubtful, named, unusual, unusual * unusual], axis=-1)


def manner_features(reading: NDArray[np.integer], unusual: Matrix) -> Matrix:
    """(..., 4) of votes, what counts differently for each expert: a constant comes first."""
    doubtful = (reading >= Reading.NAMED).astype(float)
    return np.stack([np.ones_like(unusual), doubtful, unusual, unusual * unusual], axis=-1)


def none_features(voters: int, best: float) -> Matrix:
    """(3) of "none of these": a constant, how many gave an answer, and the best one's log-odds."""
    return np.array([1.0, np.log1p(voters), log_odds(np.array(best))])


def log_odds(chance: Matrix) -> Matrix:
    """log p / (1 - p), finite for any probability."""
    p = np.clip(chance, 1 - SURE, SURE)
    return np.asarray(np.log(p / (1 - p)))
