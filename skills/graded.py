"""Graded answers, as they are stored, become a :class:`Memory`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import GradedAnswer, Reading, SkillWeight
from skills.memory import Memory


def memory_of(answers: Iterable[GradedAnswer]) -> Memory:
    """The memory that ``answers`` are alone: without vectors, categories or options.

    Items are called ``task/item``; experts and items are in the order of their names.  Where the
    answers to one item name different skills (they were inferred at different times), the skills
    most of them name count.
    """
    by_item: defaultdict[str, dict[str, GradedAnswer]] = defaultdict(dict)
    for answer in answers:
        by_item[f"{answer.task}/{answer.item}"][answer.expert] = answer
    items = sorted(by_item)
    experts = sorted({expert for given in by_item.values() for expert in given})
    rows = [[by_item[item].get(expert) for expert in experts] for item in items]
    shape = (len(items), len(experts))
    return Memory(
        experts=tuple(experts),
        items=tuple(items),
        categories=("",) * len(items),
        skills=tuple(_skills([a for a in row if a]) for row in rows),
        vectors=np.zeros((len(items), 0), np.float32),
        options=np.zeros(len(items), np.int16),
        correct=_array([[a.correct if a else math.nan for a in r] for r in rows], shape),
        answers=np.array([[_read(a) for a in r] for r in rows], np.str_).reshape(shape),
        readings=np.array(
            [[Reading.STATED if _read(a) else Reading.NOTHING for a in r] for r in rows], np.int8
        ).reshape(shape),
        tokens=_array([[_tokens(a) for a in r] for r in rows], shape),
    )


def _array(rows: Sequence[Sequence[float]], shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(shape)


def _read(answer: GradedAnswer | None) -> str:
    return (answer.extracted or "") if answer else ""


def _tokens(answer: GradedAnswer | None) -> float:
    return (answer.usage.completion_tokens or math.nan) if answer else math.nan


def _skills(answers: Sequence[GradedAnswer]) -> tuple[SkillWeight, ...]:
    named = Counter(a.skills for a in answers)
    return max(named, key=lambda skills: (named[skills], repr(skills)))
