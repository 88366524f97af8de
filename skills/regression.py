"""How likely each expert is to be right, by a ridge logistic regression on what a prompt is about.

A prompt is described by the probabilities of its category (:mod:`skills.classifier`) and by the
leading principal components of its embedding; an expert's log-odds of success are linear in these:

    logit P(e right | x) = a_e + sum_c u_ec (P(c | x) - 1/C) + sum_j v_ej z_j(x)

with Gaussian priors on u and v, so that few answers leave an expert at its overall rate.  Fitted by
Newton's method, all experts on the same description.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skills.classifier import Classifier, Fitted, fit_classifier
from skills.folds import folds
from skills.memory import Memory

COMPONENTS = 24
FREE, BY_CATEGORY, BY_COMPONENT = 0.01, 3.0, 12.0
"""Penalties on a, u and v; chosen by cross-validated log-loss on a profile split."""
ROUNDS = 12
FOLDS = 5

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """Turns a prompt's embedding into what the regression reads."""

    classifier: Classifier | None
    centre: NDArray[np.float32]
    axes: NDArray[np.float32]

    @property
    def categories(self) -> int:
        """How many category probabilities there are."""
        return len(self.classifier.names) if self.classifier else 0

    def probabilities(self, vector: NDArray[np.float32]) -> Matrix:
        """(c) the probability of each category; (0) where no question had a label."""
        return self.classifier.probabilities(vector) if self.classifier else np.zeros(0)

    def subject(self, vector: NDArray[np.float32]) -> Matrix:
        """(c) how much likelier than chance each category is, for a unit vector, (d)."""
        return self.centred(self.probabilities(vector))

    def centred(self, probabilities: Matrix) -> Matrix:
        """Category probabilities, (..., c), as differences from an even share."""
        return probabilities - 1 / max(1, self.categories)

    def rows(self, vectors: NDArray[np.float32], subjects: Matrix) -> Matrix:
        """(q, p) the descriptions of prompts whose centred category probabilities are known."""
        components = (vectors - self.centre) @ self.axes
        return np.hstack([np.ones((len(vectors), 1)), subjects, components])

    def penalties(self) -> Matrix:
        """(p) the prior precision of each weight."""
        width = self.axes.shape[1]
        return np.array([FREE] + [BY_CATEGORY] * self.categories + [BY_COMPONENT] * width)


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """``weights``: (p, e).

    ``held_out``: (q, e) the chances of success at every remembered question and ``subjects``,
    (q, c), what :meth:`subject` gives, each as told by a fit without that question's fold.
    """

    experts: tuple[str, ...]
    description: Description
    weights: Matrix
    held_out: Matrix
    subjects: Matrix

    def chances(self, vector: NDArray[np.float32]) -> Matrix:
        """(e) each expert's probability of success."""
        return self.told(vector)[0]

    def subject(self, vector: NDArray[np.float32]) -> Matrix:
        """(c) how much likelier than chance each category is."""
        return self.description.subject(vector)

    def told(self, vector: NDArray[np.float32]) -> tuple[Matrix, Matrix]:
        """Chances, (e), and subject, (c), for the price of one look at the categories."""
        subject = self.subject(vector)
        row = self.description.rows(vector[None], subject[None])[0]
        return expit(row @ self.weights), subject


def fit_regression(
    memory: Memory, *, fitted: Fitted | None = None, seed: int = 0
) -> Regression | None:
    """The regression on every question of ``memory``; None where nothing was embedded or graded.

    ``fitted`` is the classifier of those questions, where there is one already.
    """
    if not len(memory) or not memory.vectors.shape[1] or np.isnan(memory.correct).all():
        return None
    fitted = fitted or fit_classifier(memory, seed=seed)
    description = Description(fitted.classifier if fitted else None, *_components(memory))
    subjects = description.centred(fitted.held_out) if fitted else np.zeros((len(memory), 0))
    rows = description.rows(memory.vectors, subjects)
    penalties = description.penalties()
    held_out = np.empty(memory.correct.shape)
    fold = folds(memory.items, FOLDS, seed)
    for f in range(FOLDS):
        out = fold == f
        if out.any():
            fit = _newton(rows[~out], memory.correct[~out], penalties)
            held_out[out] = expit(rows[out] @ fit)
    weights = _newton(rows, memory.correct, penalties)
    return Regression(memory.experts, description, weights, held_out, subjects)


def expit(logits: Matrix) -> Matrix:
    """1 / (1 + exp(-logits)), stable for logits of any size."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))


def _components(memory: Memory) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centre (d) and axes (d, k) of the leading components, each scaled to unit spread."""
    centre = memory.vectors.mean(axis=0)
    centred = memory.vectors - centre
    values, vectors = np.linalg.eigh(centred.T @ centred / len(memory))
    keep = min(COMPONENTS, len(memory) - 1, int((values > 1e-9).sum()))
    order = np.argsort(values)[::-1][:keep]
    axes = vectors[:, order]
    axes *= np.where(axes.sum(axis=0) < 0, -1, 1)  # the sign of an axis is arbitrary: fix it
    return centre, (axes / np.sqrt(values[order])).astype(np.float32)


def _newton(rows: Matrix, correct: NDArray[np.float32], penalties: Matrix) -> Matrix:
    """(p, e) the weights that fit each expert's graded answers; NaN answers are left out."""
    weights = np.zeros((rows.shape[1], correct.shape[1]))
    for e in range(correct.shape[1]):
        asked = ~np.isnan(correct[:, e])
        x, y = rows[asked], correct[asked, e].astype(np.float64)
        for _ in range(ROUNDS):
            p = expit(x @ weights[:, e])
            gradient = x.T @ (y - p) - penalties * weights[:, e]
            curvature = (x * np.maximum(p * (1 - p), 1e-4)[:, None]).T @ x + np.diag(penalties)
            step = np.linalg.solve(curvature, gradient)
            weights[:, e] += step
            if np.abs(step).max() < 1e-4:
                break
    return weights
