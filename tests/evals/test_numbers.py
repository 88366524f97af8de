"""Equal numbers have one form, however they are written."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.numbers import canonical_number, number_of, shown_number


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1,200", "1200"),
        ("1{,}200", "1200"),
        ("$1200.00", "1200"),
        ("\\$ 12.50", "12.5"),
        ("-0.50", "-0.5"),
        ("−3", "-3"),
        ("2/6", "1/3"),
        ("\\dfrac{1}{8}", "0.125"),
        ("1e3", "1000"),
        (".25", "0.25"),
        ("007", "7"),
        ("1/0", None),
        ("twelve", None),
        ("", None),
    ],
)
def test_a_number_has_one_form(text: str, form: str | None) -> None:
    assert canonical_number(text) == form


@given(st.fractions(max_denominator=10**6))
def test_the_form_says_the_number(value: Fraction) -> None:
    assert number_of(shown_number(value)) == value


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    canonical_number(text)
