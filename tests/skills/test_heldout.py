"""What profiles would have said of each question, had they not been made of it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie.types import OVERALL, SkillWeight
from skills.estimate import estimate_profiles
from skills.heldout import expected, held_out, rates
from skills.memory import Memory


def memory(correct: NDArray[np.float32], skills: tuple[tuple[SkillWeight, ...], ...]) -> Memory:
    q, e = correct.shape
    return Memory(
        experts=tuple(f"e{i}" for i in range(e)),
        items=tuple(f"item {i}" for i in range(q)),
        categories=("",) * q,
        skills=skills,
        vectors=np.zeros((q, 2), dtype=np.float32),
        options=np.zeros(q, dtype=np.int16),
        correct=correct.astype(np.float32),
        answers=np.full((q, e), "", dtype="U1"),
        readings=np.zeros((q, e), dtype=np.int8),
        tokens=np.full((q, e), np.nan, dtype=np.float32),
    )


def random_memory(q: int = 60, e: int = 3, seed: int = 0) -> Memory:
    rng = np.random.default_rng(seed)
    skills = tuple(
        (SkillWeight("law", 0.75, 0.5), SkillWeight("sql", 0.25, 0.4))
        if i % 2
        else (SkillWeight("sql", 1.0, 0.5),)
        for i in range(q)
    )
    correct = (rng.random((q, e)) < 0.6).astype(np.float32)
    correct[rng.random((q, e)) < 0.1] = np.nan
    return memory(correct, skills)


def test_rates_are_the_profiles_of_the_memory() -> None:
    found = random_memory()
    table = rates(found)
    for i, profile in enumerate(estimate_profiles(found)):
        assert profile.expert == table.experts[i]
        for skill, row in table.rows.items():
            wanted = profile.overall if skill == OVERALL else profile.at(skill)
            assert table.mean[row, i] == pytest.approx(wanted.mean)
            assert table.sd[row, i] == pytest.approx(wanted.sd)


def test_no_question_is_judged_by_its_own_answers() -> None:
    found = random_memory()
    before = held_out(found)
    turned = found.correct.copy()
    turned[7] = 1 - np.nan_to_num(turned[7])
    after = held_out(replace(found, correct=turned))
    assert after[7] == pytest.approx(before[7])
    assert not np.allclose(after, before)


def test_folds_go_with_the_items_not_with_their_order() -> None:
    found = random_memory()
    order = np.random.default_rng(1).permutation(len(found))
    assert held_out(found.at(order)) == pytest.approx(held_out(found)[order])


def test_what_has_no_skill_or_an_unknown_one_counts_as_the_overall_rate() -> None:
    table = rates(random_memory())
    found = expected([(), (SkillWeight("poetry", 1.0, 0.3),)], table)
    assert found == pytest.approx(np.stack([table.mean[0], table.mean[0]]))
