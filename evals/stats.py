"""Honest numbers: intervals for rates, and for differences between two systems.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Outcomes = Sequence[bool] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rate:
    """``correct`` of ``n``, with a 95 % interval (Wilson)."""

    correct: int
    n: int
    low: float
    high: float

    @property
    def mean(self) -> float:
        return self.correct / self.n if self.n else 0.0

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] (n={self.n})"


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of a - b over the same questions, with a 95 % paired bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}] (n={self.n})"


def rate(correct: Outcomes) -> Rate:
    """The rate of ``correct`` and its Wilson interval; (0, 1) where there is nothing."""
    n = len(correct)
    if n == 0:
        return Rate(0, 0, 0.0, 1.0)
    k = int(sum(correct))
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return Rate(k, n, float(interval.low), float(interval.high))


def paired_difference(
    a: Outcomes, b: Outcomes, *, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """How much better ``a`` is than ``b`` on the same questions, in the same order."""
    if len(a) != len(b) or not len(a):
        raise ValueError(f"both need the same questions, at least one: {len(a)} and {len(b)}")
    gain = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    # To draw questions with replacement is to draw how often each gain occurs: the same
    # distribution, in the time and space of three numbers a resample.
    gains, counts = np.unique(gain, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(gain), counts / len(gain), resamples)
    low, high = np.quantile(draws @ gains / len(gain), [0.025, 0.975])
    return Difference(float(gain.mean()), float(low), float(high), len(gain))
