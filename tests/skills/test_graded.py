"""Stored answers as arrays."""

import numpy as np

from coterie.types import GradedAnswer, Reading, SkillWeight, Usage
from skills.graded import memory_of

SQL = (SkillWeight("sql", 1.0, 0.5),)
LAW = (SkillWeight("law", 1.0, 0.5),)


def graded(
    expert: str,
    item: str,
    correct: bool = True,
    skills: tuple[SkillWeight, ...] = SQL,
    extracted: str | None = "x",
    tokens: int = 0,
    task: str = "t",
) -> GradedAnswer:
    usage = Usage(0, tokens)
    return GradedAnswer(expert, task, item, skills, "", extracted, correct, usage, 0.0)


def test_answers_find_their_place() -> None:
    found = memory_of(
        [graded("b", "2", False, extracted=None), graded("a", "1", tokens=7), graded("b", "1")]
    )
    assert (found.experts, found.items) == (("a", "b"), ("t/1", "t/2"))
    np.testing.assert_array_equal(found.correct, [[1, 1], [np.nan, 0]])
    np.testing.assert_array_equal(found.answers, [["x", "x"], ["", ""]])
    np.testing.assert_array_equal(found.tokens, [[7, np.nan], [np.nan, np.nan]])
    assert found.readings[0, 0] == Reading.STATED
    assert found.readings[1, 1] == Reading.NOTHING
    assert found.vectors.shape == (2, 0)


def test_items_of_two_tasks_are_two_questions() -> None:
    assert memory_of([graded("a", "1"), graded("a", "1", task="u")]).items == ("t/1", "u/1")


def test_the_skills_most_answers_name_count() -> None:
    answers = [graded("a", "1", skills=LAW), graded("b", "1"), graded("c", "1")]
    assert memory_of(answers).skills == (SQL,)


def test_nothing_is_an_empty_memory() -> None:
    found = memory_of([])
    assert len(found) == 0
    assert found.experts == ()
