"""Intervals."""

import pytest

from evals.stats import paired_difference, rate


def test_a_rate_has_its_wilson_interval() -> None:
    found = rate([True] * 8 + [False] * 2)
    assert found.mean == 0.8
    # Wilson (1927) for 8 of 10.
    assert found.low == pytest.approx(0.490, abs=0.001)
    assert found.high == pytest.approx(0.943, abs=0.001)


def test_nothing_known_is_the_whole_interval() -> None:
    assert (rate([]).low, rate([]).high) == (0.0, 1.0)


def test_a_difference_is_paired_and_seeded() -> None:
    a = [True] * 60 + [False] * 40
    b = [True] * 40 + [False] * 60
    found = paired_difference(a, b)
    assert found.mean == pytest.approx(0.2)
    assert 0.1 < found.low < 0.2 < found.high < 0.3
    assert found == paired_difference(a, b)


def test_a_system_does_not_differ_from_itself() -> None:
    a = [True, False, True]
    found = paired_difference(a, a)
    assert (found.low, found.high) == (0.0, 0.0)


def test_unequal_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([True], [])
