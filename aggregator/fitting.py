"""Fits several texts into the room there is, counted in tokens.  Pure.

Whoever has little to say leaves its room to the others; whoever has too much loses the middle, so
that how it began and what it concluded stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Count = Callable[[str], int]
"""How many tokens a text is; never fewer for a longer text that begins or ends alike."""

HEAD = 0.25
"""The share of what is kept of a long text that is its beginning; conclusions come last."""

LEAST = 96
"""Fewer tokens of an answer are not worth showing."""


@dataclass(frozen=True, slots=True)
class Room:
    """``tokens`` of a prompt in all, as ``count`` counts them."""

    tokens: int
    count: Count


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is shown of a text, and about how many tokens are ``missing`` of it."""

    text: str
    missing: int = 0


def fitted(texts: Sequence[str], room: int, count: Count) -> list[Fitted]:
    """Every text, cut where all together are longer than ``room``; equal shares for the long ones.

    Each keeps at least :data:`LEAST` tokens, whatever the room.
    """
    share = max(_share([count(t) for t in texts], room), LEAST)
    return [_cut(text, share, count) for text in texts]


def how_many(texts: Sequence[str], room: int, count: Count, frame: int) -> int:
    """How many of ``texts``, from the first on, have room for what is worth showing; at least 1.

    ``frame`` is what stands around each, in tokens.
    """
    left = room
    for n, text in enumerate(texts):
        left -= min(count(text), LEAST) + frame
        if left < 0:
            return max(n, 1)
    return len(texts)


def _share(sizes: Sequence[int], room: int) -> int:
    """The largest share so that all of ``sizes``, none larger than it, fit into ``room``."""
    left = room
    for n, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        if size * n > left:
            return max(left // n, 0)
        left -= size
    return max(sizes, default=0)


def _cut(text: str, most: int, count: Count) -> Fitted:
    size = count(text)
    if size <= most:
        return Fitted(text)
    mark = "\n[… about {} tokens of this answer are left out here …]\n"
    room = max(most - count(mark.format(size)), 1)
    head = text[: _longest(text, int(room * HEAD), count)]
    rest = room - count(head)
    tail = text[len(text) - _longest(text[::-1], rest, lambda t: count(t[::-1])) :]
    missing = max(size - count(head) - count(tail), 1)
    return Fitted(f"{head.rstrip()}{mark.format(missing)}{tail.lstrip()}", missing)


def _longest(text: str, most: int, count: Count) -> int:
    """How many characters of the beginning of ``text`` are ``most`` tokens or fewer."""
    low, high = 0, max(most, 1)
    while high < len(text) and count(text[:high]) <= most:  # no more is counted than is needed
        low, high = high, 2 * high
    high = min(high, len(text))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(text[:middle]) <= most else (low, middle - 1)
    return low
