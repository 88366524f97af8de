"""Whose errors go together.

Experts that fail on the same questions add little to each other's votes.  What every expert finds
hard is no sign of kinship, so errors are taken relative to what was expected of each expert on each
question.  Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skills.heldout import held_out
from skills.memory import Memory

COMMON = 0.25
"""How experts' errors correlate where nothing is known of any pair."""
PRIOR_N = 100.0
"""Joint answers the common value counts for: true correlations of pairs spread by about 0.1 around
it, which is the sampling error of a correlation over a hundred answers."""


def error_correlation(
    memory: Memory, success: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Correlation of errors, (e, e), ones on the diagonal.

    Of the residuals correct - expected over the questions both answered; ``success``, (q, e), is
    what was expected, :func:`skills.heldout.held_out` where it is not given.  A pair with few joint
    answers is pulled towards the common value of all pairs, which is never negative.
    """
    expected = held_out(memory) if success is None else success
    given = np.isfinite(memory.correct)
    residual = np.where(given, np.nan_to_num(memory.correct) - expected, 0.0)
    joint = given.T.astype(float) @ given
    products = residual.T @ residual
    squares = (residual**2).T @ given  # (i, j): of i, over the questions that j answered too
    scale = np.sqrt(squares * squares.T)
    found = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    common = _common(found, np.where(scale > 0, joint, 0.0))
    shrunken: NDArray[np.float64] = (joint * found + PRIOR_N * common) / (joint + PRIOR_N)
    np.fill_diagonal(shrunken, 1.0)
    return shrunken


def _common(found: NDArray[np.float64], joint: NDArray[np.float64]) -> float:
    """The mean correlation of pairs, by their joint answers; itself pulled to ``COMMON``."""
    pairs = ~np.eye(len(found), dtype=bool)
    n = float(joint[pairs].sum())
    mean = (float((joint * found)[pairs].sum()) + PRIOR_N * COMMON) / (n + PRIOR_N)
    return max(mean, 0.0)
