"""Histograms of fixed bounds, small enough to stand in one row, and their percentiles.  Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

LATENCIES_MS = (
    *(10.0, 20.0, 50.0, 100.0, 150.0, 200.0, 300.0, 500.0, 700.0, 1000.0, 1500.0, 2000.0),
    *(3000.0, 5000.0, 7000.0, 10_000.0, 15_000.0, 20_000.0, 30_000.0, 60_000.0),
)
"""Upper bounds, in milliseconds; what is above the last has a bin of its own."""

COSTS_USD = (*(float(f"{m}e{e}") for e in range(-6, 0) for m in (1, 2, 5)), 1.0)
"""Upper bounds, in US dollars a call."""


def bin_of(value: float, edges: Sequence[float]) -> int:
    """The bin of ``value``: the first whose upper bound it does not exceed."""
    return bisect_left(edges, value)


def percentile(counts: Sequence[int], edges: Sequence[float], share: float) -> float | None:
    """The value that ``share`` of them do not exceed, evenly spread within a bin; None of none.

    Of the last bin, which has no end, its lower bound.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank, below = share * total, 0
    for i, count in enumerate(counts):
        if count > 0 and below + count >= rank:
            low = edges[i - 1] if i else 0.0
            high = edges[i] if i < len(edges) else low
            return low + (high - low) * (rank - below) / count
        below += count
    return edges[-1]
