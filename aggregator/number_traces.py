"""Traces in options that are numbers: where each stands among the others, how exact it is.

Wrong numbers are often the right one times a simple factor, and the right one is seldom the
extreme.  Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from aggregator.choice_model import Matrix
from aggregator.standing import Column, in_spreads, ranks

NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?")
FACTORS = {2.0: 1.0, 10.0: 1.0, 4.0: 0.5, 3.0: 0.5, 1.0: 1.0, 100.0: 0.5, 1.5: 0.5}
"""By what wrong numbers differ from the right one, and how telling each is."""

HUGE = 1e100
"""Numbers further from zero are left out: their squares could not be compared."""


def magnitudes(numbers: Matrix, numeric: float) -> list[Column]:
    """Where an option's number stands among the others', and which simple factors part them."""
    n = len(numbers)
    rank, size, kin, alike, near, middle = np.full(n, 0.5), *(np.zeros(n) for _ in range(5))
    at = np.flatnonzero(~np.isnan(numbers))
    if numeric and len(at) > 2:
        x = numbers[at]
        rank[at] = (ranks(x) + 0.5).clip(0, 1)
        log = np.log(np.abs(x) + 1e-12)
        size[at] = np.clip((log - np.median(log)) / (log.std() + 1e-6), -3, 3)
        apart = np.abs(log[:, None] - log[None]) + np.diag(np.full(len(at), 99.0))
        kin[at] = sum(
            weight * (np.abs(apart - math.log(factor)) < 0.005).sum(axis=1)
            for factor, weight in FACTORS.items()
        )
        heads = [re.sub(r"[^1-9]", "", f"{a:g}".split("e")[0])[:3] for a in np.abs(x)]
        same = Counter(heads)
        alike[at] = [same[h] - 1 for h in heads]
        near[at] = (apart < 0.1).sum(axis=1)
        middle[at] = -np.abs(x - np.median(x)) / (np.std(x) + 1e-9)
    return [
        (rank - 0.5) * numeric,
        np.abs(rank - 0.5) * 2 * numeric,
        (rank == 0) * numeric,
        (rank == 1) * numeric,
        size,
        np.abs(size),
        kin,
        in_spreads(kin),
        alike,
        in_spreads(alike),
        in_spreads(near),
        middle,
        (np.nan_to_num(numbers) < 0) * numeric,
        numbers == 0,
        np.abs(numbers) == 1,
    ]


def digits(low: Sequence[str], numeric: float) -> list[Column]:
    """How exactly an option's number is given."""
    count = np.array([sum(c.isdigit() for c in o) for o in low], dtype=float)
    figures = np.array([len(re.sub(r"\D", "", o).strip("0")) for o in low], dtype=float)
    places = np.array([len(m[1]) if (m := re.search(r"\.(\d+)", o)) else 0 for o in low], float)
    usual = Counter(places.tolist())
    return [
        in_spreads(count) * numeric,
        np.clip(count - count.mean(), -5, 5) * numeric,
        np.clip(figures - figures.mean(), -4, 4) * numeric,
        np.clip(places - places.mean(), -3, 3),
        np.array([usual[p] for p in places.tolist()]) / len(low) * numeric,
        [numeric * bool(re.search(r"\d0(\D|$)", o)) for o in low],
        in_spreads(np.array([len(NUMBER.findall(o)) for o in low], dtype=float)),
    ]


def first_number(option: str) -> float:
    """The first number in ``option``; NaN where there is none, or one too large to compare."""
    found = NUMBER.search(option)
    value = float(found[0].replace(",", "")) if found else math.nan
    return value if abs(value) < HUGE else math.nan
