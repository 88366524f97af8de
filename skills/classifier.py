"""Which category a prompt belongs to, by its embedding: learned from labelled profiling questions.

Two kinds are fitted, and the one with the lower held-out log-loss is kept (the linear one, which
decides far faster, unless the other's is lower by more than the difference's standard error):

* *neighbours*: P(c) = (Σ_i w_i [c_i = c] + κ share_c) / (Σ_i w_i + κ), votes of the nearest
  questions by a kernel over cosines, shrunk towards how frequent each category is;
* *linear*: L2-regularised multinomial logistic regression, calibrated by a temperature.

Held out are seeded folds of items; settings (k, temperature, κ; the penalty λ) come from a small
grid, by the same log-loss.  A classifier sees the question's embedding and nothing else: labels
are the profiling questions' own, and no question that is being answered has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skills.folds import folds
from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.neighbours import HeldOut, Kernel, Neighbours
from skills.softmax import cross_entropy, fit_softmax, softmax, temperature, with_constant

FOLDS = 5
KERNELS = tuple(Kernel(k, t) for k, t in product((10, 20, 40, 80), (0.05, 0.1, 0.2)))
STRENGTHS = (0.1, 0.3, 1.0, 3.0)
PENALTIES = (2.0, 0.5, 0.125, 0.03)
"""λ, strongest first: each fit starts from the one before."""

Matrix = NDArray[np.float64]


class Classifier(Protocol):
    """Sorts prompts into categories."""

    kind: str
    names: tuple[str, ...]

    def probabilities(self, vector: NDArray[np.float32]) -> Matrix:
        """(c) the probability of each category of ``names``, for a unit vector (d)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well one kind foretells the categories of questions it was not fitted on."""

    kind: str
    setting: str
    log_loss: float
    accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The classifier that is kept.

    ``held_out``: (q, c) what it says of each remembered question when that one's fold is left out
    of the fit; ``fold``: (q); ``fits``: both kinds, the kept one first.
    """

    classifier: Classifier
    held_out: Matrix
    fold: NDArray[np.intp]
    fits: tuple[Fit, ...]


def classifier_of(knowledge: Knowledge) -> Fitted | None:
    """The classifier of a snapshot, fitted once; None where it remembers no categories."""
    memory = knowledge.memory
    if memory is None:
        return None
    return knowledge.once(("classifier",), lambda: fit_classifier(memory))


def entropy(probabilities: Matrix) -> float:
    """How unsure: 0 where one category is certain, log c where all are alike; in nats."""
    return float(-(probabilities @ np.log(np.maximum(probabilities, 1e-300))))


def entropies(probabilities: Matrix) -> Matrix:
    """(q) the entropy of each row of (q, c)."""
    terms = probabilities * np.log(np.maximum(probabilities, 1e-300))
    return np.asarray(-terms.sum(axis=1))


# --- the two kinds ------------------------------------------------------------------------------


class NeighbourClassifier:
    """Votes of the nearest labelled questions."""

    kind = "neighbours"

    def __init__(
        self, names: tuple[str, ...], source: Neighbours, share: Matrix, strength: float
    ) -> None:
        self.names = names
        self._source = source
        self._share = share
        self._strength = strength

    def probabilities(self, vector: NDArray[np.float32]) -> Matrix:
        return _voted(self._source.sums(vector), self._share, self._strength)


class LinearClassifier:
    """softmax((x W + b) / T); ``weights``: (d + 1, c), intercepts last, divided by T already."""

    kind = "linear"

    def __init__(self, names: tuple[str, ...], weights: Matrix) -> None:
        self.names = names
        self._weights = np.ascontiguousarray(weights[:-1].T, dtype=np.float32)
        self._intercepts = weights[-1].astype(np.float32)

    def probabilities(self, vector: NDArray[np.float32]) -> Matrix:
        return softmax(self._weights @ vector + self._intercepts)


def _voted(votes: NDArray[np.floating], share: Matrix, strength: float) -> Matrix:
    """(..., c) shrunken shares of ``votes``; float64, so that they sum to one."""
    total = votes.sum(axis=-1, keepdims=True, dtype=np.float64) + strength
    return np.asarray((votes + strength * share) / total)


# --- the choice ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """Questions with a label: what both kinds are fitted on."""

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    labels: NDArray[np.intp]
    fold: NDArray[np.intp]

    @property
    def onehot(self) -> NDArray[np.float32]:
        return np.eye(len(self.names), dtype=np.float32)[self.labels]

    @property
    def share(self) -> Matrix:
        """(c) how frequent each category is."""
        return np.bincount(self.labels, minlength=len(self.names)) / len(self.labels)


def fit_classifier(memory: Memory, *, seed: int = 0) -> Fitted | None:
    """The kind that foretells the categories of held-out questions better.

    None where there is nothing to learn from: fewer than two categories, or fewer labelled items
    than folds.  Seconds for thousands of questions.
    """
    labelled = np.flatnonzero(np.array([bool(c) for c in memory.categories], dtype=bool))
    names = tuple(sorted({memory.categories[i] for i in labelled}))
    if len(names) < 2 or len({memory.items[i] for i in labelled}) < FOLDS:
        return None
    number = {name: i for i, name in enumerate(names)}
    fold = folds(memory.items, FOLDS, seed)
    data = _Labelled(
        names,
        memory.vectors[labelled],
        np.array([number[memory.categories[i]] for i in labelled], dtype=np.intp),
        fold[labelled],
    )
    linear, neighbours = _linear(data), _neighbours(data)
    gain = _losses(linear[2], data.labels) - _losses(neighbours[2], data.labels)
    surely = gain.mean() > gain.std() / np.sqrt(len(gain))
    tried = (neighbours, linear) if surely else (linear, neighbours)
    _, classifier, held_out = tried[0]
    return Fitted(
        classifier,
        _for_all(memory, classifier, labelled, held_out),
        fold,
        tuple(fit for fit, _, _ in tried),
    )


def _neighbours(data: _Labelled) -> tuple[Fit, Classifier, Matrix]:
    held = HeldOut(data.vectors, data.fold, max(kernel.k for kernel in KERNELS))
    sums = held.sums(data.onehot, KERNELS)
    tried = [
        (kernel, strength, _voted(votes, data.share, strength))
        for kernel, votes in zip(KERNELS, sums, strict=True)
        for strength in STRENGTHS
    ]
    kernel, strength, found = min(tried, key=lambda t: _loss(t[2], data.labels))
    setting = f"{kernel.k} nearest at temperature {kernel.temperature:g}, κ {strength:g}"
    source = Neighbours(data.vectors, data.onehot, kernel, held.near)
    classifier = NeighbourClassifier(data.names, source, data.share, strength)
    return _fit(classifier, setting, found, data.labels), classifier, found


def _linear(data: _Labelled) -> tuple[Fit, Classifier, Matrix]:
    logits = np.empty((len(PENALTIES), len(data.labels), len(data.names)))
    for fold in range(FOLDS):
        out = data.fold == fold
        fitted = fit_softmax(data.vectors[~out], data.labels[~out], len(data.names), PENALTIES)
        logits[:, out] = [with_constant(data.vectors[out]) @ weights for weights in fitted]
    calibrated = [found / temperature(found, data.labels) for found in logits]
    best = min(range(len(PENALTIES)), key=lambda i: cross_entropy(calibrated[i], data.labels))
    t = temperature(logits[best], data.labels)
    path = PENALTIES[: best + 1]
    weights = fit_softmax(data.vectors, data.labels, len(data.names), path)[-1]
    classifier = LinearClassifier(data.names, weights / t)
    found = softmax(calibrated[best])
    setting = f"λ {PENALTIES[best]:g}, T {t:.2f}"
    return _fit(classifier, setting, found, data.labels), classifier, found


def _fit(classifier: Classifier, setting: str, found: Matrix, labels: NDArray[np.intp]) -> Fit:
    accuracy = float((found.argmax(axis=1) == labels).mean())
    return Fit(classifier.kind, setting, _loss(found, labels), accuracy)


def _loss(probabilities: Matrix, labels: NDArray[np.intp]) -> float:
    return float(_losses(probabilities, labels).mean())


def _losses(probabilities: Matrix, labels: NDArray[np.intp]) -> Matrix:
    p = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.maximum(p, 1e-12)))


def _for_all(
    memory: Memory, classifier: Classifier, labelled: NDArray[np.intp], held_out: Matrix
) -> Matrix:
    """Held-out probabilities for all: no question without a label took part in any fit."""
    found = np.empty((len(memory), len(classifier.names)))
    found[labelled] = held_out
    for i in np.setdiff1d(np.arange(len(memory)), labelled):
        found[i] = classifier.probabilities(memory.vectors[i])
    return found
