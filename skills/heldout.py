"""What profiles would have said of each remembered question, had they not been made of it.

Whatever is learned from how strategies would have done on the memory (a cascade's threshold, how
experts' errors correlate) must not judge an expert at a question by its answer to that question.
So the memory is cut into folds, and each fold's questions are judged by profiles of the others.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import SkillWeight
from skills.estimate import estimate_profiles
from skills.folds import folds_by_name
from skills.knowledge import Knowledge, Table
from skills.memory import Memory

Fit = Callable[[Memory], Table]
"""Estimates of a memory's experts from its answers."""


def held_out(memory: Memory, *, fit: Fit | None = None, folds: int = 5) -> NDArray[np.float64]:
    """Expected success, (q, e), of each expert at each question, by profiles without its fold.

    Where single answers are to be left out, and nothing but rates is wanted, see
    :func:`skills.evidence.rates_of_others`.
    """
    fold = folds_by_name(memory.items, folds)
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


def rates(memory: Memory) -> Table:
    """What profiles made of ``memory`` say of its experts."""
    return Knowledge.of(estimate_profiles(memory)).table(memory.experts)


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
