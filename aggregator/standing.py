"""Where each of a question's options stands among the others, in one quantity.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aggregator.choice_model import Matrix

Column = Sequence[float] | NDArray[np.floating] | NDArray[np.bool_]
"""One trace in each option, (o)."""


def ranks(x: Matrix) -> Matrix:
    """Ranks from -0.5 to 0.5; ties share the middle of theirs, so that no place tells on them."""
    below, upto = np.searchsorted(np.sort(x), x, "left"), np.searchsorted(np.sort(x), x, "right")
    return np.asarray((below + upto - 1) / 2 / max(1, len(x) - 1) - 0.5)


def centred(x: Sequence[float] | NDArray[np.floating]) -> Matrix:
    """Differences from the mean."""
    values = np.asarray(x, dtype=np.float64)
    return np.asarray(values - values.mean())


def in_spreads(x: Matrix) -> Matrix:
    """Differences from the mean, in standard deviations; 0 where all are alike."""
    return np.asarray((x - x.mean()) / (x.std() + 1e-6))
