"""Who can be compared fairly: experts that were graded on the same questions.

An answer that is not stored was never asked for, and says nothing of its expert.  A comparison
that met one would have to guess: so it is made among experts, and on questions, where there is none
missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skills.memory import Memory

LEAST_SHARE = 0.5
"""Who has fewer answers than this share of the most graded expert's is left out from the start: one
that is new must not cut the comparison down to the few questions it has seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """``experts``, in the memory's order, and the ``rows`` of it that all of them answered."""

    experts: tuple[str, ...]
    rows: NDArray[np.intp]


def panel_of(memory: Memory, least: int) -> Panel | None:
    """The largest panel with at least ``least`` questions in common, least graded left out first.

    None where not even the two most graded have so many.
    """
    graded = ~np.isnan(memory.correct)
    counts = graded.sum(axis=0)
    order = [int(c) for c in np.argsort(-counts, kind="stable")]
    order = [c for c in order if counts[c] >= LEAST_SHARE * counts[order[0]]]
    for size in range(len(order), 1, -1):
        rows = np.flatnonzero(graded[:, order[:size]].all(axis=1))
        if len(rows) >= least:
            return Panel(tuple(memory.experts[c] for c in sorted(order[:size])), rows)
    return None
