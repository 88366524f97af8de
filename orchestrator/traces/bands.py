"""Measures of a request, in bands.  Pure.

"The newest that cost more than x" is a search through everything where nothing dear was asked
lately.  Of one band the newest are found at once, and of all above it by merging a few.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bands:
    """Band i holds the values from ``edges[i - 1]`` on, to before ``edges[i]``."""

    edges: tuple[float, ...]

    def of(self, value: float) -> int:
        """The band of ``value``."""
        return bisect_right(self.edges, value)

    def least(self, value: float) -> range:
        """The bands that can hold a value of at least ``value``."""
        return range(self.of(value), len(self.edges) + 1)

    def below(self, value: float) -> range:
        """The bands that can hold a value below ``value``."""
        return range(bisect_left(self.edges, value) + 1)


def _decades(first: int, last: int) -> tuple[float, ...]:
    return tuple(float(f"{m}e{e}") for e in range(first, last) for m in (1, 2, 5))


COST_USD = Bands(_decades(-6, 2))
LATENCY_MS = Bands(_decades(1, 6))
AGREEMENT = Bands(tuple(round(0.1 * i, 1) for i in range(1, 11)))
