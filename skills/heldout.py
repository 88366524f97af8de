"""What profiles would have said of each remembered question, had they not been made of it.

Whatever is learned from how strategies would have done on the memory (a cascade's threshold, how
experts' errors correlate) must not judge an expert at a question by its answer to that question.
So the memory is cut into folds, and each fold's questions are judged by profiles of the others.
Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import OVERALL, SkillWeight
from skills.knowledge import Table
from skills.memory import Memory
from skills.profile import Shrinkage

Fit = Callable[[Memory], Table]
"""Estimates of a memory's experts from its answers."""


def held_out(memory: Memory, *, fit: Fit | None = None, folds: int = 5) -> NDArray[np.float64]:
    """Expected success, (q, e), of each expert at each question, by profiles without its fold.

    Folds are drawn by the items' names: they do not depend on the order of questions.
    """
    fold = np.array([_digest(item) % folds for item in memory.items], dtype=np.intp)
    found = np.zeros((len(memory), len(memory.experts)))
    for i in range(folds):
        inside = np.flatnonzero(fold == i)
        if len(inside):
            table = (fit or rates)(memory.at(np.flatnonzero(fold != i)))
            found[inside] = expected([memory.skills[q] for q in inside], table)
    return found


def expected(questions: Sequence[Sequence[SkillWeight]], table: Table) -> NDArray[np.float64]:
    """Mean success, (q, e), at questions that are these mixtures of skills: sum_s w_s p_s.

    A skill nobody was graded on counts as the overall rate, and so does a question without skills.
    """
    return _mixtures(questions, table.rows) @ table.mean


def rates(memory: Memory, shrinkage: Shrinkage | None = None) -> Table:
    """Beta posteriors of a memory's experts, as :func:`skills.profile.profile_of` makes them."""
    s = shrinkage or Shrinkage()
    rows = {OVERALL: 0}
    for skills in memory.skills:
        for skill in skills:
            rows.setdefault(skill.skill, len(rows))
    given = np.isfinite(memory.correct).astype(float)
    right = np.nan_to_num(memory.correct).astype(float)
    mixtures = _mixtures(memory.skills, rows)
    mixtures[:, 0] = 0.0
    n, correct = mixtures.T @ given, mixtures.T @ right
    n[0], correct[0] = given.sum(axis=0), right.sum(axis=0)
    overall = (s.rate * s.overall + correct[0]) / (s.overall + n[0])
    strength = np.where(np.arange(len(rows)) == 0, s.overall, s.skill)[:, None]
    mean = (overall * s.skill + correct) / (s.skill + n)
    mean[0] = overall
    sd = np.sqrt(mean * (1 - mean) / (strength + n + 1))
    return Table(memory.experts, rows, mean, sd, n)


def _mixtures(
    questions: Sequence[Sequence[SkillWeight]], rows: Mapping[str, int]
) -> NDArray[np.float64]:
    """(q, s) the weight of each skill in each question; what has no row falls to row 0."""
    found = np.zeros((len(questions), max(rows.values(), default=0) + 1))
    for q, skills in enumerate(questions):
        for skill in skills:
            found[q, rows.get(skill.skill, 0)] += skill.weight
        if not skills:
            found[q, 0] = 1.0
    return found


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
