"""Counts of graded answers, and the rates they give."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.types import SkillWeight
from skills.evidence import (
    OVERALL_STRENGTH,
    SKILL_STRENGTH,
    cell_counts,
    counts_of,
    counts_of_others,
    log_loss,
    rate,
    rates_of_others,
    spread,
)
from skills.memory import Memory


def test_an_answer_that_was_not_graded_counts_in_nothing() -> None:
    counts = counts_of(np.array([[1, np.nan], [0, 1]], dtype=np.float32))
    assert counts.tolist() == [[1, 0, 1, 0], [0, 1, 1, 1]]


def test_no_evidence_leaves_the_prior_and_much_reaches_the_rate() -> None:
    prior = np.array([0.2, 0.2])
    found = rate(np.array([0.0, 800.0, 0.0, 1000.0]), prior, 5.0)
    assert found == pytest.approx([0.2, 0.8], abs=0.01)
    sd = spread(found, np.array([0.0, 800.0, 0.0, 1000.0]), 5.0)
    assert sd[0] > 0.1 > 0.02 > sd[1]


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_what_others_say_is_what_remains_without_the_own_group(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = int(rng.integers(1, 30))
    cells, groups = rng.integers(4, size=q), rng.integers(6, size=q)
    counts = rng.integers(0, 3, size=(q, 4)).astype(np.float32)
    found = counts_of_others(cells, groups, counts)
    for i in range(q):
        others = (cells == cells[i]) & (groups != groups[i])
        assert found[i] == pytest.approx(counts[others].sum(axis=0))


def test_cells_add_up_to_everything() -> None:
    rng = np.random.default_rng(0)
    counts = rng.random((50, 6)).astype(np.float32)
    found = cell_counts(rng.integers(5, size=50), counts, 5)
    assert found.sum(axis=0) == pytest.approx(counts.sum(axis=0))


def test_the_loss_is_over_graded_answers_alone() -> None:
    correct = np.array([[1, np.nan], [0, 1]], dtype=np.float32)
    found = log_loss(np.array([[0.8, 0.0], [0.4, 0.5]]), correct)
    assert found == pytest.approx(-(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3)


def test_rates_of_others_are_profiles_without_the_question(
    make_memory: Callable[..., Memory],
) -> None:
    memory = make_memory(questions=30)
    found = rates_of_others(memory)
    for i in range(5):
        others = memory.at(np.array([j for j in range(30) if j != i]))
        assert found[i] == pytest.approx(naive(others, memory.skills[i]))


def naive(memory: Memory, skills: tuple[SkillWeight, ...]) -> np.ndarray:
    counts = counts_of(memory.correct)
    overall = rate(counts.sum(axis=0), np.full(3, 0.5), OVERALL_STRENGTH)
    weight = np.zeros((len(memory), len(skills)))
    for q, known in enumerate(memory.skills):
        for k in known:
            weight[q] += [k.weight * (k.skill == wanted.skill) for wanted in skills]
    by_skill = rate(weight.T @ counts, overall, SKILL_STRENGTH)
    return np.array([w.weight for w in skills]) @ by_skill
