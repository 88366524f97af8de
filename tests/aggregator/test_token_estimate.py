"""Estimates of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.token_estimate import counter_of
from coterie.types import Completion, Usage

TEN = "one two three four five six seven eight nine ten"


def wrote(text: str, tokens: int, **message: str) -> Completion:
    return Completion("a", text, "stop", Usage(1, tokens), 0.0, message)


@pytest.mark.parametrize(
    ("completions", "tokens"),
    [
        ([], 11),  # a tenth more
        ([wrote(TEN, 0)], 11),
        ([wrote(TEN, 5)], 11),  # never fewer than pieces
        ([wrote(TEN, 12), wrote(TEN, 20)], 22),  # as who made most of it
        ([wrote(TEN, 5000)], 33),  # it must have thought apart
        ([wrote(TEN, 30, reasoning_content=TEN + " " + TEN)], 11),
    ],
)
def test_tokens_are_counted_as_those_who_wrote_counted(
    completions: list[Completion], tokens: int
) -> None:
    assert counter_of(completions)(TEN) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("extraordinarily", 3),
        ("camelCase", 2),
        ("1234", 4),
        ("x = a[1];", 7),
        ("a\n\n\nb", 3),
        ("a" + " " * 80 + "b", 12),
        ("你好", 3),
        ("\ud800", 2),
    ],
)
def test_digits_signs_and_other_scripts_weigh_more(text: str, tokens: int) -> None:
    assert counter_of([wrote("word", 1)])(text) in (tokens, -(-tokens * 11 // 10))


@given(st.text(max_size=100), st.text(max_size=100))
def test_a_longer_text_is_never_fewer_tokens(one: str, more: str) -> None:
    count = counter_of([])
    assert count(one + more) >= count(one)
