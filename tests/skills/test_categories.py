"""Which category a question falls into."""

import numpy as np
import pytest

from coterie.types import Estimate, Profile
from skills.categories import category_rates, predict_category
from skills.knowledge import Knowledge
from skills.memory import Memory

NAMES = ("law", "maths")


def memory(n: int = 80, *, labels: bool = True) -> Memory:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, n)
    vectors = np.eye(2)[kind] + rng.normal(0, 0.1, (n, 2))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    correct = np.stack([kind == 0, np.ones(n)], axis=1).astype(np.float32)
    return Memory(
        experts=("lawyer", "polymath"),
        items=tuple(map(str, range(n))),
        categories=tuple(NAMES[k] if labels else "" for k in kind),
        skills=((),) * n,
        vectors=vectors.astype(np.float32),
        options=np.zeros(n, dtype=np.int16),
        correct=correct,
        answers=np.full((n, 2), "", dtype="U1"),
        readings=np.zeros((n, 2), dtype=np.int8),
        tokens=np.full((n, 2), np.nan, dtype=np.float32),
    )


def knowing(found: Memory | None) -> Knowledge:
    profiles = [
        Profile("lawyer", Estimate(0.5, 0.05, 80)),
        Profile("polymath", Estimate(0.9, 0.05, 80)),
    ]
    return Knowledge.of(profiles, memory=found)


def test_a_question_falls_where_its_neighbours_are() -> None:
    names, probability = predict_category(np.array([0.0, 1.0], dtype=np.float32), knowing(memory()))
    assert names == NAMES
    assert probability.sum() == pytest.approx(1.0)
    assert probability[1] > 0.9


def test_a_question_between_two_is_uncertain() -> None:
    between = np.array([0.707, 0.707], dtype=np.float32)
    _, probability = predict_category(between, knowing(memory()))
    assert probability.max() < 0.95


@pytest.mark.parametrize(
    ("vector", "known"),
    [
        (None, memory()),
        (np.array([1.0, 0.0], dtype=np.float32), None),
        (np.array([1.0, 0.0], dtype=np.float32), memory(labels=False)),
        (np.array([1.0, 0.0, 0.0], dtype=np.float32), memory()),
    ],
)
def test_where_nothing_can_be_told_there_are_no_categories(
    vector: "np.ndarray[tuple[int], np.dtype[np.float32]] | None", known: Memory | None
) -> None:
    assert predict_category(vector, knowing(known))[0] == ()


def test_rates_by_category_are_pulled_to_the_overall_rate() -> None:
    found = category_rates(knowing(memory()), ("lawyer", "polymath", "new"))
    assert found[0, 0] > 0.9
    assert found[1, 0] < 0.1
    assert found[:, 2] == pytest.approx([0.5, 0.5])
