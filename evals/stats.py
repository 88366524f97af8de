"""Honest numbers: intervals for rates, differences between two systems, calibration.  Pure.

Formulas and sources: docs/reports.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Outcomes = Sequence[bool] | NDArray[np.bool_]

Chances = Sequence[float] | NDArray[np.float64]
"""Probabilities in [0, 1]; outcomes are such, too."""

Z95 = 1.959963984540054
"""The normal distribution's 97.5 % point."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``correct`` of ``n``, with a 95 % interval (Wilson).

    ``correct`` is a whole number where outcomes were seen, an expectation where chances were given.
    """

    correct: float
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


@dataclass(frozen=True, slots=True)
class McNemar:
    """Whether two systems differ: questions only the first, only the second was right on.

    ``p`` is the exact two-sided p-value of the null hypothesis that both are equally likely.
    """

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Probabilities in [``low``, ``high``): their mean, and how often it came true."""

    low: float
    high: float
    foretold: float
    actual: Rate


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far foretold probabilities are from what happened.

    ``brier`` is the mean squared error, ``ece`` the expected calibration error over ``bins``; bins
    nothing falls into are left out.
    """

    n: int
    foretold: float
    actual: Rate
    brier: float
    ece: float
    bins: tuple[Bin, ...]


def rate(correct: Outcomes) -> Rate:
    """The rate of ``correct`` and its Wilson interval; (0, 1) where there is nothing."""
    return wilson(int(sum(correct)), len(correct))


def wilson(correct: float, n: int) -> Rate:
    """``correct`` of ``n`` and Wilson's interval; an expected number need not be whole.

    scipy has the same for whole numbers only.
    """
    if n == 0:
        return Rate(0, 0, 0.0, 1.0)
    p, z2 = correct / n, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Rate(correct, n, max(0.0, middle - half), min(1.0, middle + half))


def paired_difference(
    a: Outcomes | Chances, b: Outcomes | Chances, *, resamples: int = 10_000, seed: int = 0
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


def mcnemar(a: Outcomes, b: Outcomes) -> McNemar:
    """McNemar's exact test on the same questions, in the same order."""
    if len(a) != len(b):
        raise ValueError(f"both need the same questions: {len(a)} and {len(b)}")
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_a + only_b
    return McNemar(only_a, only_b, float(binomtest(only_a, differ).pvalue) if differ else 1.0)


def calibration(foretold: Chances, right: Outcomes, *, bins: int = 10) -> Calibration | None:
    """Foretold probabilities against what happened, in ``bins`` of equal width; None for none."""
    if len(foretold) != len(right):
        raise ValueError(f"a probability each: {len(foretold)} and {len(right)}")
    if not len(foretold):
        return None
    p, y = np.asarray(foretold, dtype=float), np.asarray(right, dtype=bool)
    # Probability 1 belongs to the last bin.
    place = np.clip((p * bins).astype(int), 0, bins - 1)
    found = tuple(
        Bin(k / bins, (k + 1) / bins, float(p[place == k].mean()), rate(y[place == k]))
        for k in np.unique(place).tolist()
    )
    gaps = [b.actual.n * abs(b.foretold - b.actual.mean) for b in found]
    brier = float(((p - y) ** 2).mean())
    return Calibration(len(p), float(p.mean()), rate(y), brier, sum(gaps) / len(p), found)
