"""Intervals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evals.stats import calibration, mcnemar, paired_difference, rate, wilson


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


@given(n=st.integers(1, 3000), share=st.floats(0, 1))
def test_wilsons_interval_is_scipys(n: int, share: float) -> None:
    k = round(n * share)
    ours, theirs = wilson(k, n), binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_an_expected_number_need_not_be_whole() -> None:
    assert wilson(4, 10).low < wilson(4.5, 10).low < wilson(5, 10).low


def test_mcnemar_counts_only_where_they_differ() -> None:
    a = [True] * 10 + [True] * 9 + [False] * 1 + [False] * 5
    b = [True] * 10 + [False] * 9 + [True] * 1 + [False] * 5
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (9, 1)
    # 2 · (C(10, 0) + C(10, 1)) / 2^10
    assert found.p == pytest.approx(22 / 1024)
    assert mcnemar(b, a).p == pytest.approx(found.p)


def test_mcnemar_of_equals_says_nothing() -> None:
    assert mcnemar([True, False], [True, False]).p == 1.0
    assert mcnemar([], []).p == 1.0
    with pytest.raises(ValueError, match="same questions"):
        mcnemar([True], [])


def test_calibration_by_hand() -> None:
    found = calibration([0.95, 0.85, 0.85, 0.25, 1.0], [True, True, False, False, True])
    assert found is not None
    assert [(b.low, b.actual.correct, b.actual.n) for b in found.bins] == [
        (0.2, 0, 1),
        (0.8, 1, 2),
        (0.9, 2, 2),
    ]
    # (1·|.25 - 0| + 2·|.85 - .5| + 2·|.975 - 1|) / 5
    assert found.ece == pytest.approx((0.25 + 0.70 + 0.05) / 5)
    # (.05² + .15² + .85² + .25² + 0) / 5
    assert found.brier == pytest.approx((0.0025 + 0.0225 + 0.7225 + 0.0625) / 5)
    assert (found.foretold, found.actual.mean) == (pytest.approx(0.78), 0.6)


def test_nothing_foretold_is_not_calibrated() -> None:
    assert calibration([], []) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_bins_hold_everything_once(pairs: list[tuple[float, bool]]) -> None:
    found = calibration([p for p, _ in pairs], [y for _, y in pairs])
    assert found is not None
    assert sum(b.actual.n for b in found.bins) == len(pairs)
    assert 0 <= found.ece <= 1
    # The bins' gaps cancel at best: what remains is the gap of the means.
    assert found.ece >= abs(found.foretold - found.actual.mean) - 1e-9
