"""JSON that is not to be parsed, and what is mended in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.json_text import MOST_DEPTH, trouble, without_halves

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(-1e99, 1e99)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON, st.booleans())
def test_what_clients_mean_is_let_in(value: Any, ascii_: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
    assert trouble(text) is None


@given(st.text(alphabet='[]{}"\\NaIfinty0123456789e+.', max_size=300))
def test_what_stands_in_a_string_is_no_trouble(text: str) -> None:
    assert trouble(json.dumps([text]).encode()) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * (MOST_DEPTH + 1) + b"1" + b"}" * (MOST_DEPTH + 1), "nested deeper"),
        (b"[" + b"[]," * 200_001 + b"1]", "more than 200000"),
        (b'{"max_tokens": ' + b"9" * 400 + b"}", "out of range"),
        (b'{"seed": -100000000000000000000000}', "out of range"),
        (b'{"temperature": 1e999}', "out of range"),
        (b'{"temperature": NaN}', "no numbers in JSON"),
        (b'{"temperature": -Infinity}', "no numbers in JSON"),
    ],
)
def test_what_nobody_means_is_told(text: bytes, told: str) -> None:
    assert told in (trouble(text) or "")


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b'"', b'"\\', b'{"a": "\\u12', b"]" * 99, b'{"a": 0.1e-300}', b"\x00" * 9],
)
def test_what_is_no_json_is_left_to_the_parser(text: bytes) -> None:
    assert trouble(text) is None


@given(
    st.lists(
        st.sampled_from(["\\ud83d", "\\ude00", "\\uD83D", "\\", "\\\\", "u", "x", "\\n", "\\u00e4"])
    )
)
def test_half_a_pair_is_replaced_and_nothing_else(parts: list[str]) -> None:
    text = f'"{"".join(parts)}"'.encode()
    try:
        said = json.loads(text)
    except ValueError:
        return
    mended = json.loads(without_halves(text))
    whole = said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert mended == whole
    mended.encode()
