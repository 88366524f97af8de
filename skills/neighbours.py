"""Remembered questions near to a new one, and what they say: a kernel average over unit vectors.

A neighbour at cosine c weighs exp((c - near) / temperature), where ``near`` is the cosine at which
a remembered question typically finds its nearest other one.  Weights are not normalised: a question
that resembles nothing gathers little weight, and whoever shrinks falls back to the prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

CHUNK = 256
"""Questions compared to the whole memory at a time."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The ``k`` nearest count, by a kernel of this ``temperature`` (in cosine)."""

    k: int
    temperature: float

    def weigh(self, cosines: NDArray[np.float32], near: float) -> NDArray[np.float32]:
        """The weights at ``cosines``."""
        return np.asarray(np.exp((cosines - np.float32(near)) / np.float32(self.temperature)))


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Sums over the neighbours of a vector.

    ``vectors``: (q, d) unit; ``values``: (q, m), what is summed; both float32.
    """

    vectors: NDArray[np.float32]
    values: NDArray[np.float32]
    kernel: Kernel
    near: float

    def nearest(self, vector: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The rows of the k nearest questions, in no order, and their weights."""
        cosines = self.vectors @ vector
        k = min(self.kernel.k, len(cosines))
        rows = np.argpartition(cosines, len(cosines) - k)[len(cosines) - k :]
        return rows, self.kernel.weigh(cosines[rows], self.near)

    def sums(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """(m) the weighted sum of the neighbours' values."""
        rows, weights = self.nearest(vector)
        return np.asarray(weights @ self.values[rows])


class HeldOut:
    """Every remembered question's nearest others, none of its own group: to choose a kernel by.

    ``vectors``: (q, d) unit; ``groups``: (q); ``k``: how many are kept.  Takes O(q² d).
    """

    def __init__(self, vectors: NDArray[np.float32], groups: NDArray[np.intp], k: int) -> None:
        self.k = min(k, len(vectors))
        self.rows = np.empty((len(vectors), self.k), dtype=np.intp)
        self.cosines = np.empty((len(vectors), self.k), dtype=np.float32)
        for chunk in _chunks(len(vectors)):
            cosines = vectors[chunk] @ vectors.T
            cosines[groups[chunk][:, None] == groups] = -np.inf
            top = np.argpartition(cosines, -self.k, axis=1)[:, -self.k :]
            near = np.take_along_axis(cosines, top, axis=1)
            order = np.argsort(-near, axis=1, kind="stable")
            self.rows[chunk] = np.take_along_axis(top, order, axis=1)
            self.cosines[chunk] = np.take_along_axis(near, order, axis=1)

    @cached_property
    def near(self) -> float:
        """The median cosine of a question and its nearest other; 0.5 where there is no other."""
        best = self.cosines[:, 0]
        found = best[np.isfinite(best)]
        return float(np.median(found)) if len(found) else 0.5

    def sums(self, values: NDArray[np.float32], kernels: Sequence[Kernel]) -> NDArray[np.float32]:
        """(kernels, q, m) what each kernel sums of the others' ``values``, (q, m)."""
        weights = np.stack([self._weights(kernel) for kernel in kernels], axis=1)
        found = np.empty((len(kernels), len(values), values.shape[1]), dtype=np.float32)
        for chunk in _chunks(len(values)):
            found[:, chunk] = (weights[chunk] @ values[self.rows[chunk]]).swapaxes(0, 1)
        return found

    def _weights(self, kernel: Kernel) -> NDArray[np.float32]:
        weights = kernel.weigh(self.cosines, self.near)
        weights[:, kernel.k :] = 0
        return weights


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))
