"""Clusters of unit vectors: spherical k-means, seeded (Dhillon and Modha, 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """``centres``: (n, d) unit; ``cells``: (q) the cluster of each vector they were made of."""

    centres: NDArray[np.float32]
    cells: NDArray[np.intp]

    def cell(self, vector: NDArray[np.float32]) -> int:
        """The cluster of a vector."""
        return int((self.centres @ vector).argmax())


def clusters_of(
    vectors: NDArray[np.float32], n: int, *, seed: int = 0, rounds: int = 25
) -> Clusters:
    """``n`` clusters of ``vectors``, (q, d) unit; a cluster nobody is nearest to stays empty."""
    centres = _spread_out(vectors, n, np.random.default_rng(seed))
    cells = (vectors @ centres.T).argmax(axis=1)
    for _ in range(rounds):
        centres = _centres(vectors, cells, centres)
        moved = (vectors @ centres.T).argmax(axis=1)
        if np.array_equal(moved, cells):
            break
        cells = moved
    return Clusters(centres, cells)


def _centres(
    vectors: NDArray[np.float32], cells: NDArray[np.intp], before: NDArray[np.float32]
) -> NDArray[np.float32]:
    member = (cells == np.arange(len(before))[:, None]).astype(np.float32)
    total = member @ vectors
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-12), before).astype(np.float32)


def _spread_out(
    vectors: NDArray[np.float32], n: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """k-means++: each next centre is drawn by its distance to the nearest one so far."""
    picked = [int(rng.integers(len(vectors)))]
    distance = 1 - vectors @ vectors[picked[0]]
    for _ in range(n - 1):
        share = np.maximum(distance.astype(np.float64), 1e-9)
        picked.append(int(rng.choice(len(vectors), p=share / share.sum())))
        distance = np.minimum(distance, 1 - vectors @ vectors[picked[-1]])
    return vectors[picked]
