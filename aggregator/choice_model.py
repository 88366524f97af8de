"""Conditional logit (McFadden, 1974): which of several alternatives is the right one.

Every case offers alternatives, each described by a row of features; P(a) is the softmax of w·x(a)
over the case's own alternatives.  Cases may offer any number of them.  Fitted by penalised maximum
likelihood; convex, so that the fit depends on nothing but the data.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
ITERATIONS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """``rows``: (r, p) the alternatives of all cases, those of one case together; ``starts``: (n)
    the first row of each case; ``right``: (n) the row that is right; ``weights``: (n)."""

    rows: NDArray[np.float32]
    starts: NDArray[np.intp]
    right: NDArray[np.intp]
    weights: Matrix


def probabilities(scores: Matrix, starts: NDArray[np.intp]) -> Matrix:
    """(r) the softmax of ``scores``, (r), within each case."""
    sizes = np.diff(np.append(starts, len(scores)))
    shifted = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), sizes))
    return np.asarray(shifted / np.repeat(np.add.reduceat(shifted, starts), sizes))


def fit(cases: Cases, penalties: Matrix) -> Matrix:
    """(p) the weights of the least :func:`loss`."""
    from scipy.optimize import minimize

    options = {"maxiter": ITERATIONS, "ftol": 1e-7}
    start = np.zeros(cases.rows.shape[1])
    found = minimize(
        loss, start, args=(cases, penalties), jac=True, method="L-BFGS-B", options=options
    )
    return np.asarray(found.x)


def loss(weights: Matrix, cases: Cases, penalties: Matrix) -> tuple[float, Matrix]:
    """Σ_n -weight_n log P(right_n) + Σ_p penalty_p w_p² / 2, and its gradient, (p).

    The products with all rows are in single precision.
    """
    scores = (cases.rows @ weights.astype(np.float32)).astype(np.float64)
    p = probabilities(scores, cases.starts)
    value = -float(cases.weights @ np.log(np.maximum(p[cases.right], 1e-12)))
    residual = p * np.repeat(cases.weights, np.diff(np.append(cases.starts, len(p))))
    residual[cases.right] -= cases.weights
    gradient = (residual.astype(np.float32) @ cases.rows).astype(np.float64)
    return value + float(penalties @ weights**2) / 2, gradient + penalties * weights
