"""The conditional logit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.choice_model import Cases, Matrix, fit, loss, probabilities

TRUE = np.array([1.5, -1.0, 0.5])
FREE = np.full(3, 1e-3)


def drawn(n: int, sizes: tuple[int, ...] = (4,), *, seed: int = 0) -> Cases:
    """``n`` cases whose right alternative is drawn by the TRUE weights."""
    rng = np.random.default_rng(seed)
    size = rng.choice(sizes, n)
    starts = np.cumsum(size) - size
    rows = rng.normal(size=(int(size.sum()), len(TRUE))).astype(np.float32)
    p = probabilities(rows @ TRUE, starts)
    right = [s + rng.choice(k, p=p[s : s + k]) for s, k in zip(starts, size, strict=True)]
    return Cases(rows, starts, np.array(right), np.ones(n))


@pytest.mark.parametrize("sizes", [(4,), (2, 3, 7)])
def test_known_weights_are_recovered(sizes: tuple[int, ...]) -> None:
    assert fit(drawn(4000, sizes), FREE) == pytest.approx(TRUE, abs=0.12)


@given(
    st.lists(st.lists(st.floats(-500, 500), min_size=1, max_size=5), min_size=1, max_size=6),
)
def test_probabilities_sum_to_one_in_every_case(cases: list[list[float]]) -> None:
    sizes = np.array([len(case) for case in cases])
    starts = np.cumsum(sizes) - sizes
    found = probabilities(np.array([score for case in cases for score in case]), starts)
    assert (found >= 0).all()
    assert np.add.reduceat(found, starts) == pytest.approx(np.ones(len(cases)))


def test_a_score_that_all_alternatives_share_changes_nothing() -> None:
    scores, starts = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0, 3])
    shifted = scores + np.array([7, 7, 7, -9])
    assert probabilities(shifted, starts) == pytest.approx(probabilities(scores, starts))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_the_gradient_is_that_of_finite_differences(seed: int) -> None:
    cases = drawn(30, (1, 2, 5), seed=seed)
    rng = np.random.default_rng(seed)
    cases = Cases(cases.rows, cases.starts, cases.right, rng.uniform(0.2, 2, 30))
    penalties, at = np.array([0.5, 1.0, 3.0]), rng.normal(size=3)
    _, gradient = loss(at, cases, penalties)
    step = 0.01
    for i, unit in enumerate(np.eye(3) * step):
        above, below = (loss(at + s * unit, cases, penalties)[0] for s in (1, -1))
        assert gradient[i] == pytest.approx((above - below) / (2 * step), abs=0.02, rel=0.01)


def test_a_case_with_one_alternative_teaches_nothing() -> None:
    cases = drawn(200, (3,))
    lone = Cases(
        np.vstack([cases.rows, np.full((1, 3), 9.0, np.float32)]),
        np.append(cases.starts, len(cases.rows)),
        np.append(cases.right, len(cases.rows)),
        np.ones(201),
    )
    assert fit(lone, FREE) == pytest.approx(fit(cases, FREE), abs=1e-3)


def test_a_weight_of_two_is_the_case_twice() -> None:
    cases = drawn(100)
    double = Cases(cases.rows, cases.starts, cases.right, np.full(100, 2.0))
    twice = Cases(
        np.vstack([cases.rows] * 2),
        np.append(cases.starts, cases.starts + len(cases.rows)),
        np.append(cases.right, cases.right + len(cases.rows)),
        np.ones(200),
    )
    assert fit(double, np.ones(3)) == pytest.approx(fit(twice, np.ones(3)), abs=1e-3)


def test_a_heavier_penalty_keeps_weights_nearer_to_nothing() -> None:
    cases = drawn(100)
    norms = [norm(fit(cases, np.full(3, penalty))) for penalty in (0.01, 1, 100, 1e6)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.01


def norm(weights: Matrix) -> float:
    return float(np.abs(weights).max())
