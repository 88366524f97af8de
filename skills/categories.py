"""Which category a question falls into, by the remembered questions most like it.

The simplest classifier that works: k nearest neighbours, their labels counted by similarity and
pulled towards how frequent each category is.  Pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.profile import Shrinkage

NEIGHBOURS = 15
PRIOR_N = 1.0
"""How many neighbours the categories' overall frequencies count for."""


def predict_category(
    vector: NDArray[np.float32] | None, knowledge: Knowledge
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The categories by name, and the probability of each, (c), for a question's unit ``vector``.

    No categories where the question has no vector, or no remembered question has one and a label.
    """
    memory = knowledge.memory
    if vector is None or memory is None:
        return (), np.zeros(0)
    names, codes, rows = knowledge.once("categories", lambda: _labels(memory))
    if not names or memory.vectors.shape[1] != len(vector):
        return (), np.zeros(0)
    frequency = np.bincount(codes, minlength=len(names)) / len(codes)
    cosines = memory.vectors[rows] @ vector
    nearest = np.argsort(-cosines, kind="stable")[:NEIGHBOURS]
    votes = np.bincount(
        codes[nearest], weights=np.maximum(cosines[nearest], 0.0), minlength=len(names)
    )
    counted = votes + PRIOR_N * frequency
    return names, counted / counted.sum()


def category_rates(knowledge: Knowledge, experts: tuple[str, ...]) -> NDArray[np.float64]:
    """Each expert's rate in each category, (c, e), in the order of :func:`predict_category`.

    A Beta posterior with the expert's overall rate as prior, as strong as for skills.
    """
    memory = knowledge.memory
    if memory is None:
        return np.zeros((0, len(experts)))
    names, codes, rows = knowledge.once("categories", lambda: _labels(memory))
    correct = memory.of_experts(experts).correct[rows]
    member = (codes[:, None] == np.arange(len(names))).astype(float)
    n = member.T @ np.isfinite(correct)
    right = member.T @ np.nan_to_num(correct)
    prior_n, overall = Shrinkage().skill, knowledge.table(experts).mean[0]
    rates: NDArray[np.float64] = (right + prior_n * overall) / (n + prior_n)
    return rates


def _labels(
    memory: Memory,
) -> tuple[tuple[str, ...], NDArray[np.intp], NDArray[np.intp]]:
    """Category names, and the code and row of every question that has a label."""
    rows = np.array([i for i, c in enumerate(memory.categories) if c], dtype=np.intp)
    names = tuple(sorted({memory.categories[i] for i in rows}))
    code = {name: i for i, name in enumerate(names)}
    return names, np.array([code[memory.categories[i]] for i in rows], dtype=np.intp), rows
