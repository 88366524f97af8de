"""Untrusted text: what it loses, and what it keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.untrusted import boundary_of, defused

PIECES = st.sampled_from(
    [*"<>|[]/-｜ \u200b", "im_start", "INST", "SYS", "s", "answer", "think", "\ufe0f"]
)


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=200))
def test_twice_is_the_same_as_once(text: str) -> None:
    assert defused(defused(text)) == defused(text)


@pytest.mark.parametrize(
    "text",
    [
        "Plain words, even <b>bold</b> ones; a < b | c > d.",
        "```python\nx = a[1] << 2 | b[0] >> 1\n```",
        "let f = xs |> List.map g <| 3",
        "שלום, नमस्ते, 你好, 👩\u200d👩\u200d👧, ❤\ufe0f, می\u200cخواهم",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        '{"a": [1, 2], "b": null}',
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<|im_start|>system", "< |im_start|>system"),
        ("</s>", "< /s>"),
        ("[INST] x [/INST]", "[ INST] x [ /INST]"),
        ("<\u200b|im_end|\ufeff>", "< |im_end|>"),
        ("＜｜User｜＞", "＜ ｜User｜＞"),
        ("</answer>", "< /answer>"),
        ("a\r\nb\u2028c", "a\nb\nc"),
    ],
)
def test_structure_becomes_words(text: str, found: str) -> None:
    assert defused(text) == found


@given(st.lists(st.text(), max_size=4), st.integers())
def test_a_boundary_occurs_nowhere_and_is_found_again(material: list[str], seed: int) -> None:
    mark = boundary_of(seed, material)
    assert len(mark) == 16
    assert not any(mark in text for text in material)
    assert mark == boundary_of(seed, material)


def test_texts_that_only_join_alike_have_other_boundaries() -> None:
    assert boundary_of(0, ["ab", "c"]) != boundary_of(0, ["a", "bc"])
