"""Graded answers as counts, and the rates that counts give.

Counts of ``e`` experts lie side by side, (..., 2e): first how many answers were right, then how
many were graded.  Either may be weighted.  An answer that was never graded counts in neither.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skills.folds import groups_of
from skills.memory import Memory

Floats = NDArray[np.floating]

OVERALL_STRENGTH, SKILL_STRENGTH = 2.0, 4.0
"""Graded answers that pull an expert's overall rate to one half, and its skills' to the overall."""


def counts_of(correct: Floats) -> NDArray[np.float32]:
    """(q, 2e) the counts of single answers, from 1, 0 or NaN (not graded) in (q, e)."""
    graded = ~np.isnan(correct)
    return np.hstack([np.where(graded, correct, 0), graded]).astype(np.float32)


def rate(counts: Floats, prior: Floats, strength: float) -> NDArray[np.float64]:
    """(..., e) the Beta posterior mean: (right + strength · prior) / (graded + strength)."""
    e = counts.shape[-1] // 2
    return np.asarray((counts[..., :e] + strength * prior) / (counts[..., e:] + strength))


def spread(mean: Floats, counts: Floats, strength: float) -> NDArray[np.float64]:
    """(..., e) the standard deviation of that posterior."""
    e = counts.shape[-1] // 2
    return np.asarray(np.sqrt(mean * (1 - mean) / (counts[..., e:] + strength + 1)))


def cell_counts(cells: NDArray[np.intp], counts: Floats, n: int) -> NDArray[np.float64]:
    """(n, m) the sums of ``counts``, (q, m), over the questions of each of ``n`` cells."""
    found = np.zeros((n, counts.shape[1]))
    if len(cells):
        order = np.argsort(cells, kind="stable")
        present, starts = np.unique(cells[order], return_index=True)
        found[present] = np.add.reduceat(counts[order], starts, axis=0, dtype=np.float64)
    return found


def counts_of_others(
    cells: NDArray[np.intp], groups: NDArray[np.intp], counts: Floats
) -> NDArray[np.float64]:
    """(q, m) the sums over each question's cell, without the questions of its own group."""
    total = cell_counts(cells, counts, int(cells.max()) + 1)
    pair = cells * (int(groups.max()) + 1) + groups
    pairs, own = np.unique(pair, return_inverse=True)
    return total[cells] - cell_counts(own, counts, len(pairs))[own]


def log_loss(probability: Floats, correct: NDArray[np.float32]) -> float:
    """Mean negative log-likelihood of graded answers, in nats; NaN in ``correct`` is left out."""
    graded = ~np.isnan(correct)
    p = np.clip(probability[graded], 1e-6, 1 - 1e-6)
    right = correct[graded] > 0.5
    return float(-np.log(np.where(right, p, 1 - p)).mean()) if len(p) else 0.0


def rates_of_others(memory: Memory) -> NDArray[np.float64]:
    """(q, e) what the skills of each question say of every expert, had it not been remembered.

    Like a profile (overall rate, then skills shrunk towards it), without the question's own
    answers: what a prior must be when it is judged by how well it foretells them.
    """
    counts = counts_of(memory.correct)
    everyone = np.full(counts.shape[1] // 2, 0.5)
    overall = rate(_all_others(memory, counts), everyone, OVERALL_STRENGTH)
    rows, weights = _skill_rows(memory)
    n = int(rows.max(initial=0)) + 1
    total = sum(
        cell_counts(r, w[:, None] * counts, n) for r, w in zip(rows.T, weights.T, strict=True)
    )
    found = np.zeros_like(overall)
    for r, w in zip(rows.T, weights.T, strict=True):
        own = np.where(rows == r[:, None], weights, 0).sum(axis=1, keepdims=True) * counts
        found += w[:, None] * rate(np.asarray(total)[r] - own, overall, SKILL_STRENGTH)
    missing = 1 - weights.sum(axis=1, keepdims=True)
    return np.asarray(found + missing * overall)


def _all_others(memory: Memory, counts: Floats) -> NDArray[np.float64]:
    return counts_of_others(np.zeros(len(memory), dtype=np.intp), groups_of(memory.items), counts)


def _skill_rows(memory: Memory) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(q, most) numbers of each question's skills and their weights, padded with weight 0."""
    names = sorted({s.skill for skills in memory.skills for s in skills})
    number = {name: i for i, name in enumerate(names)}
    shape = (len(memory), max((len(skills) for skills in memory.skills), default=0))
    rows, weights = np.zeros(shape, dtype=np.intp), np.zeros(shape)
    for q, skills in enumerate(memory.skills):
        for slot, s in enumerate(skills):
            rows[q, slot], weights[q, slot] = number[s.skill], s.weight
    return rows, weights
