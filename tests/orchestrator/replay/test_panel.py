"""Who can be compared fairly, and on which questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.replay.panel import LEAST_SHARE, panel_of
from skills.memory import Memory


def graded(asked: NDArray[np.bool_]) -> Memory:
    """A memory of who was asked what, (q, e)."""
    q, e = asked.shape
    return Memory(
        experts=tuple("abcdefgh"[:e]),
        items=tuple(f"t/{i}" for i in range(q)),
        categories=("",) * q,
        skills=((),) * q,
        vectors=np.zeros((q, 2), dtype=np.float32),
        options=np.zeros(q, dtype=np.int16),
        correct=np.where(asked, 1.0, np.nan).astype(np.float32),
        answers=np.full((q, e), "", dtype="U1"),
        readings=np.zeros((q, e), dtype=np.int8),
        tokens=np.full((q, e), np.nan, dtype=np.float32),
    )


def columns(q: int, *spans: tuple[int, int]) -> NDArray[np.bool_]:
    """Each expert was asked the questions of one span."""
    at = np.arange(q)
    return np.stack([(at >= a) & (at < b) for a, b in spans], axis=1)


def test_everybody_who_was_asked_everything_is_compared_on_everything() -> None:
    found = panel_of(graded(np.ones((30, 4), dtype=bool)), least=20)
    assert found is not None
    assert found.experts == ("a", "b", "c", "d")
    assert found.rows.tolist() == list(range(30))


def test_experts_with_no_question_in_common_are_not_compared() -> None:
    assert panel_of(graded(columns(100, (0, 50), (50, 100))), least=1) is None


def test_a_newcomer_with_few_answers_does_not_blind_the_comparison() -> None:
    found = panel_of(graded(columns(100, (0, 100), (0, 25), (0, 90))), least=20)
    assert found is not None
    assert found.experts == ("a", "c")
    assert len(found.rows) == 90


def test_the_least_graded_makes_way_where_it_shares_too_little() -> None:
    found = panel_of(graded(columns(100, (0, 80), (60, 100), (0, 70), (0, 85))), least=50)
    assert found is not None
    assert found.experts == ("a", "c", "d")
    assert found.rows.tolist() == list(range(70))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000))
def test_on_a_panels_rows_no_answer_is_missing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory = graded(rng.random((40, 5)) < rng.random(5))
    found = panel_of(memory, least=int(rng.integers(1, 30)))
    if found is None:
        return
    picked = [memory.experts.index(name) for name in found.experts]
    answered = ~np.isnan(memory.correct)
    assert len(picked) > 1
    assert answered[found.rows][:, picked].all()
    assert (answered[:, picked].sum(axis=0) >= LEAST_SHARE * answered.sum(axis=0).max()).all()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_who_is_compared_does_not_depend_on_the_order_of_experts(
    order: tuple[int, ...],
) -> None:
    asked = columns(100, (0, 80), (0, 70), (75, 100))
    names = ("a", "b", "c")
    memory = replace(graded(asked[:, order]), experts=tuple(names[i] for i in order))
    found = panel_of(memory, least=50)
    assert found is not None
    assert set(found.experts) == {"a", "b"}
