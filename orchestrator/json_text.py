"""JSON text before it is parsed: whether parsing it, and working with what comes out, is safe.

Python's parser takes text that no client means: nested until the stack ends, numbers of any length,
NaN.  What it makes of them breaks far from here.  Pure; a single pass in C for usual bodies.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

MOST_DEPTH: Final = 64
"""Levels of arrays and objects; deep JSON schemas of tools have ten or twenty."""
MOST_CONTAINERS: Final = 200_000
"""Arrays and objects: each takes fifty times the memory of the two bytes that make it."""
FEW_QUOTES: Final = 200_000
MOST_DIGITS: Final = 20
"""Of a whole number: 64 bits have no more."""

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NUMBER: Final = re.compile(rb"(?<![\d.eE+-])-?\d{%d}|[eE]\+?\d{3}" % (MOST_DIGITS + 1))
_DIGITS: Final = bytes.maketrans(b"0123456789E", b"0000000000e")
_OPENING, _CLOSING = np.zeros(256, np.int8), np.zeros(256, np.int8)
for _bracket in b"[{":
    _OPENING[_bracket] = 1
for _bracket in b"]}":
    _CLOSING[_bracket] = 1

_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)


def trouble(text: bytes) -> str | None:
    """Why JSON ``text`` is not to be parsed; None: it may be, and may yet be no JSON."""
    bare = _bare(text)
    opened = bare.count(b"[") + bare.count(b"{")
    if opened > MOST_CONTAINERS:
        return f"it has more than {MOST_CONTAINERS} arrays and objects"
    if opened > MOST_DEPTH and _depth(bare) > MOST_DEPTH:
        return f"it is nested deeper than {MOST_DEPTH} levels"
    if b"NaN" in bare or b"Infinity" in bare:
        return "NaN and Infinity are no numbers in JSON"
    if _may_be_huge(bare) and _NUMBER.search(bare):
        return f"it has a number that is out of range (more than {MOST_DIGITS} digits, or 1e100)"
    return None


def without_halves(text: bytes) -> bytes:
    """``text`` with every half of a surrogate pair, which UTF-8 cannot say, replaced: models emit
    them."""
    if b"\\ud" not in text and b"\\uD" not in text:
        return text
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["half"] else escape[0], text)


def _may_be_huge(bare: bytes) -> bool:
    """Whether there is anything that :data:`_NUMBER`, which takes longer, is to look at."""
    digits = bare.translate(_DIGITS)
    return b"0" * (MOST_DIGITS + 1) in digits or b"e000" in digits or b"e+000" in digits


def _bare(text: bytes) -> bytes:
    """``text`` without its strings, which are most of it: no step of this looks at each byte in
    Python, or in a regular expression."""
    if text.count(b'"') > FEW_QUOTES:  # whose pieces would take more memory than time
        return _STRING.sub(b"", text)
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    return b"".join(plain.split(b'"')[::2])


def _depth(bare: bytes) -> int:
    """How deep brackets nest in text without strings."""
    codes = np.frombuffer(bare, np.uint8)
    steps = _OPENING[codes] - _CLOSING[codes]
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))
