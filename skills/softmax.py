"""Multinomial logistic regression, fitted by L-BFGS in coordinates in which it is well conditioned.

At equal class probabilities the Hessian is (I - 1/c) ⊗ XᵀX / c + λI (Böhning, 1992), so in the
eigenbasis of XᵀX, scaled by its inverse root, a fit takes tens of iterations instead of hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def softmax(logits: NDArray[np.floating]) -> Matrix:
    """(..., c) probabilities; stable for logits of any size."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def cross_entropy(logits: NDArray[np.floating], labels: NDArray[np.intp]) -> float:
    """Mean negative log-likelihood of ``labels``, (q), under ``logits``, (q, c); in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())


def with_constant(vectors: NDArray[np.floating]) -> Matrix:
    """(q, d + 1): ``vectors`` and a column of ones, for the intercepts."""
    return np.hstack([vectors, np.ones((len(vectors), 1))], dtype=np.float64)


def fit_softmax(
    vectors: NDArray[np.floating],
    labels: NDArray[np.intp],
    classes: int,
    penalties: Sequence[float],
) -> list[Matrix]:
    """Weights (d + 1, c), intercepts last, for each L2 penalty λ: the minimum of
    Σ_q -log p(label) + λ/2 ‖W‖², every one started from the one before.
    """
    x, target = with_constant(vectors), np.eye(classes)[labels]
    eigenvalues, basis = np.linalg.eigh(x.T @ x)
    rotated = x @ basis
    found, weights = [], np.zeros((x.shape[1], classes))
    for penalty in penalties:
        scale = 1 / np.sqrt(np.maximum(eigenvalues, 0) / classes + penalty)[:, None]
        start = (basis.T @ weights) / scale
        weights = basis @ (scale * _minimum(rotated * scale.T, target, penalty * scale**2, start))
        found.append(weights)
    return found


def _minimum(x: Matrix, target: Matrix, penalty: Matrix, start: Matrix) -> Matrix:
    from scipy.optimize import minimize

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        weights = flat.reshape(start.shape)
        logits = x @ weights
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        value = float(np.log(total).sum() - np.vdot(logits, target))
        value += float((penalty * weights**2).sum()) / 2
        return value, (x.T @ (p - target) + penalty * weights).ravel()

    options = {"maxiter": 200, "ftol": 1e-8, "gtol": 1e-4}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(start.shape)


def temperature(logits: NDArray[np.floating], labels: NDArray[np.intp]) -> float:
    """The T that makes softmax(logits / T) fit ``labels`` best (Guo et al., 2017, section 4.2)."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: cross_entropy(logits / np.exp(log_t), labels),
        bounds=(-2.0, 2.0),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(np.exp(found.x))
