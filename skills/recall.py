"""What similar questions say of every expert: neighbours or clusters, whichever foretells better.

    P(e | q) = (Σ_i w_i correct_ie + κ prior_e) / (Σ_i w_i graded_ie + κ)

The sums run over the remembered questions near q (a kernel over cosines, see
:mod:`skills.neighbours`) or in its cluster (w = 1); κ is the prior's weight in answers.  Which of
the two, and with which settings, is chosen by leaving out one question after the other and taking
the lowest log-loss over all graded answers.

Sources: kNN routers as in RouterBench (arXiv 2403.12031) and "When Simple kNN Beats Complex Learned
Routers" (arXiv 2505.12601); clusters of embeddings as in The Avengers (arXiv 2505.19797).  They
average the neighbours alone; the prior is ours, and so is the choice between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from skills.clusters import Clusters, clusters_of
from skills.evidence import (
    cell_counts,
    counts_of,
    counts_of_others,
    log_loss,
    rate,
    rates_of_others,
)
from skills.folds import groups_of
from skills.memory import Memory
from skills.neighbours import HeldOut, Kernel, Neighbours

KERNELS = tuple(
    Kernel(k, t) for k, t in product((16, 32, 64, 128, 256), (0.05, 0.1, 0.15, 0.2, 1.0))
)
STRENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
CLUSTERS = (8, 16, 32, 64)
SMALLEST_CLUSTER = 8
"""Fewer clusters are tried where they would hold fewer questions than this on average."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A kernel (or a number of clusters) with a prior strength κ, and its held-out log-loss."""

    how: Kernel | int
    strength: float
    log_loss: float

    @property
    def words(self) -> str:
        """The setting in words."""
        if isinstance(self.how, int):
            return f"{self.how} clusters, κ {self.strength:g}"
        return f"{self.how.k} nearest at temperature {self.how.temperature:g}, κ {self.strength:g}"


@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """The setting that foretells best, with what it needs to be asked; ``tried`` is every one."""

    setting: Setting
    tried: tuple[Setting, ...]
    near: float
    clusters: Clusters | None

    def of(self, memory: Memory) -> Recollection:
        """What the same questions say of ``memory``'s experts, which may be others."""
        counts = counts_of(memory.correct)
        how, strength = self.setting.how, self.setting.strength
        if self.clusters is not None:
            cells = cell_counts(self.clusters.cells, counts, len(self.clusters.centres))
            return Recollection(strength, ByCluster(self.clusters, cells))
        assert isinstance(how, Kernel)
        source = Neighbours(memory.vectors, counts, how, self.near)
        return Recollection(strength, source)


@dataclass(frozen=True, slots=True, eq=False)
class ByCluster:
    """Sums over a vector's cluster; ``values``: (n, m)."""

    clusters: Clusters
    values: NDArray[np.float64]

    def sums(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """(m) the sum of the cluster's values."""
        return np.asarray(self.values[self.clusters.cell(vector)])


@dataclass(frozen=True, slots=True, eq=False)
class Recollection:
    """Counts of similar questions, (2e) as :mod:`skills.evidence` lays them out; ``strength`` is
    the prior's weight against them."""

    strength: float
    source: Neighbours | ByCluster

    def counts(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """(2e) how many similar answers were right, and how many were graded; weighted."""
        return self.source.sums(vector).astype(np.float64)


def recall(memory: Memory, *, seed: int = 0) -> Recall:
    """The best setting for ``memory``.  Seconds for thousands of questions: O(q² d)."""
    groups, counts, prior = (
        groups_of(memory.items),
        counts_of(memory.correct),
        rates_of_others(memory),
    )
    held = HeldOut(memory.vectors, groups, max(kernel.k for kernel in KERNELS))
    clusters = {
        n: clusters_of(memory.vectors, n, seed=seed)
        for n in CLUSTERS
        if n * SMALLEST_CLUSTER <= len(memory)
    }
    tried = [
        Setting(how, strength, log_loss(rate(found, prior, strength), memory.correct))
        for how, found in _sums_of_others(held, clusters, counts, groups)
        for strength in STRENGTHS
    ]
    best = min(tried, key=lambda setting: setting.log_loss)
    chosen = clusters[best.how] if isinstance(best.how, int) else None
    return Recall(best, tuple(tried), held.near, chosen)


def _sums_of_others(
    held: HeldOut,
    clusters: dict[int, Clusters],
    counts: NDArray[np.float32],
    groups: NDArray[np.intp],
) -> Iterator[tuple[Kernel | int, NDArray[np.floating]]]:
    yield from zip(KERNELS, held.sums(counts, KERNELS), strict=True)
    for n, found in clusters.items():
        yield n, counts_of_others(found.cells, groups, counts)
