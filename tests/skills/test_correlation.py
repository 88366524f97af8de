"""Whose errors go together."""

from dataclasses import replace

import numpy as np
import pytest

from skills.correlation import COMMON, error_correlation
from skills.memory import Memory


def memory(correct: list[list[float]] | np.ndarray) -> Memory:  # type: ignore[type-arg]
    given = np.asarray(correct, dtype=np.float32)
    q, e = given.shape
    return Memory(
        experts=tuple(f"e{i}" for i in range(e)),
        items=tuple(f"item {i}" for i in range(q)),
        categories=("",) * q,
        skills=((),) * q,
        vectors=np.zeros((q, 2), dtype=np.float32),
        options=np.zeros(q, dtype=np.int16),
        correct=given,
        answers=np.full((q, e), "", dtype="U1"),
        readings=np.zeros((q, e), dtype=np.int8),
        tokens=np.full((q, e), np.nan, dtype=np.float32),
    )


def test_twins_correlate_and_strangers_do_not() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(2000) < 0.6, rng.random(2000) < 0.6
    found = error_correlation(memory(np.stack([a, a, b], axis=1)))
    assert found[0, 1] > 0.9
    assert abs(found[0, 2]) < 0.1
    assert found == pytest.approx(found.T)
    assert np.diag(found) == pytest.approx(np.ones(3))


def test_what_everybody_was_expected_to_miss_is_no_kinship() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(3000) < 0.5
    chance = np.where(hard, 0.2, 0.9)[:, None] * np.ones(2)
    found = memory((rng.random((3000, 2)) < chance).astype(float))
    assert error_correlation(found)[0, 1] > 0.3
    assert abs(error_correlation(found, chance)[0, 1]) < 0.1


def test_a_pair_never_seen_together_is_as_alike_as_pairs_are() -> None:
    rng = np.random.default_rng(0)
    shared = rng.random(2000) < 0.5
    correct = np.stack([shared, shared, shared], axis=1).astype(float)
    correct[:1000, 2] = np.nan
    correct[1000:, 0] = np.nan
    found = error_correlation(memory(correct))
    assert found[0, 2] == pytest.approx(np.mean([found[0, 1], found[1, 2]]), abs=0.1)


def test_with_nothing_remembered_everybody_is_as_alike_as_usual() -> None:
    found = error_correlation(memory(np.full((5, 2), np.nan)))
    assert found == pytest.approx(np.array([[1, COMMON], [COMMON, 1]]))


def test_the_order_of_experts_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    one = memory((rng.random((200, 4)) < 0.5).astype(float))
    turned = replace(one, correct=one.correct[:, ::-1], experts=one.experts[::-1])
    assert error_correlation(turned) == pytest.approx(error_correlation(one)[::-1, ::-1])
