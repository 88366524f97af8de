"""The regression of success on what a prompt is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skills.folds import folds
from skills.memory import Memory
from skills.regression import COMPONENTS, FOLDS, Regression, expit, fit_regression

Memories = Callable[..., Memory]


def fitted(memory: Memory) -> Regression:
    found = fit_regression(memory)
    assert found is not None
    return found


def about(category: int) -> np.ndarray:
    return np.eye(8, dtype=np.float32)[category]


def test_whoever_knows_a_subject_has_the_best_chance_at_it(make_memory: Memories) -> None:
    found = fitted(make_memory(questions=300))
    for category in range(3):
        chances = found.chances(about(category))
        assert chances.argmax() == category
        assert chances[category] > 0.75
        assert np.delete(chances, category).max() < 0.5
        assert found.subject(about(category)).argmax() == category


def test_what_is_held_out_was_told_by_the_other_folds(make_memory: Memories) -> None:
    """Answers of one fold, however wrong, do not move what is said of that fold."""
    memory = make_memory(questions=120)
    own = folds(memory.items, FOLDS) == 0
    changed = memory.correct.copy()
    changed[own] = 1 - changed[own]
    before, after = fitted(memory), fitted(replace(memory, correct=changed))
    np.testing.assert_array_equal(after.held_out[own], before.held_out[own])
    assert not np.array_equal(after.held_out[~own], before.held_out[~own])
    assert not np.array_equal(after.chances(about(0)), before.chances(about(0)))


def test_held_out_chances_are_less_sure_of_the_answers_than_those_in_sample(
    make_memory: Memories,
) -> None:
    memory = make_memory(questions=90, unasked=0)
    found = fitted(memory)
    inside = np.stack([found.chances(vector) for vector in memory.vectors])
    right = memory.correct == 1
    assert np.log(np.where(right, inside, 1 - inside)).mean() > 0.02 + float(
        np.log(np.where(right, found.held_out, 1 - found.held_out)).mean()
    )


def test_few_answers_leave_an_expert_near_its_overall_rate(make_memory: Memories) -> None:
    memory = make_memory(questions=200, unasked=0)
    correct = memory.correct.copy()
    correct[10:, 2] = np.nan
    found = fitted(replace(memory, correct=correct))
    rate = np.nanmean(correct, axis=0)
    apart = [abs(found.chances(about(c)) - rate) for c in range(3)]
    assert max(a[2] for a in apart) < 0.3 < max(a[0] for a in apart)
    assert found.held_out.mean(axis=0)[:2] == pytest.approx(rate[:2], abs=0.05)


def test_answers_that_were_not_given_are_left_out(make_memory: Memories) -> None:
    memory = make_memory(questions=100, unasked=0)
    correct = memory.correct.copy()
    correct[60:, 1] = np.nan
    found = fitted(replace(memory, correct=correct))
    np.testing.assert_allclose(found.weights[:, [0, 2]], fitted(memory).weights[:, [0, 2]])
    assert np.isfinite(found.held_out).all()
    assert np.isfinite(found.weights).all()


def test_an_expert_that_was_never_graded_is_even(make_memory: Memories) -> None:
    memory = make_memory()
    correct = memory.correct.copy()
    correct[:, 1] = np.nan
    assert fitted(replace(memory, correct=correct)).chances(about(0))[1] == 0.5


def test_one_that_is_always_right_has_a_chance_under_one(make_memory: Memories) -> None:
    memory = make_memory(unasked=0)
    chances = fitted(replace(memory, correct=np.ones_like(memory.correct))).chances(about(0))
    assert (chances > 0.95).all()
    assert (chances < 1).all()


def test_questions_without_labels_are_learned_from(make_memory: Memories) -> None:
    memory = make_memory(questions=300)
    found = fitted(replace(memory, categories=("",) * len(memory)))
    assert found.subjects.shape == (300, 0)
    assert found.subject(about(0)).shape == (0,)
    assert [found.chances(about(c)).argmax() for c in range(3)] == [0, 1, 2]


def test_subjects_are_differences_from_an_even_share(make_memory: Memories) -> None:
    found = fitted(make_memory())
    assert found.subjects.shape == (120, 3)
    assert found.subjects.sum(axis=1) == pytest.approx(np.zeros(120), abs=1e-6)
    assert found.subject(about(1)).sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("questions", [1, 2, 7])
def test_a_handful_of_questions_is_survived(make_memory: Memories, questions: int) -> None:
    found = fitted(make_memory(questions=questions, unasked=0))
    assert found.held_out.shape == (questions, 3)
    chances = found.chances(about(0))
    assert ((chances > 0) & (chances < 1)).all()


def test_questions_that_are_all_alike_tell_the_overall_rate(make_memory: Memories) -> None:
    memory = make_memory(unasked=0)
    alike = np.broadcast_to(about(0), memory.vectors.shape)
    found = fitted(replace(memory, vectors=alike, categories=("",) * len(memory)))
    assert found.chances(about(0)) == pytest.approx(memory.correct.mean(axis=0), abs=0.01)


def test_of_many_dimensions_the_leading_ones_are_kept(make_memory: Memories) -> None:
    memory = make_memory(questions=90, dimension=60)
    assert fitted(memory).description.axes.shape == (60, COMPONENTS)


def test_without_embeddings_questions_or_grades_there_is_none(make_memory: Memories) -> None:
    memory = make_memory()
    assert fit_regression(replace(memory, vectors=np.zeros((len(memory), 0), np.float32))) is None
    assert fit_regression(replace(memory, correct=np.full_like(memory.correct, np.nan))) is None
    assert fit_regression(memory.at(np.arange(0))) is None


def test_fitting_twice_gives_the_same(make_memory: Memories) -> None:
    a, b = fitted(make_memory()), fitted(make_memory())
    for name in ("weights", "held_out", "subjects"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@given(st.floats(-1e6, 1e6))
def test_any_logit_is_a_probability(logit: float) -> None:
    p = expit(np.array(logit))
    assert 0 <= p <= 1
    assert p + expit(np.array(-logit)) == pytest.approx(1)
