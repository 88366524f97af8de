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

LONG_ENOUGH = 4000
"""Characters of a text that are :data:`LEAST` tokens, whatever they are."""


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
    sizes = [count(text) for text in texts]
    share = max(_share(sizes, room), LEAST)
    return [_cut(text, size, share, count) for text, size in zip(texts, sizes, strict=True)]


def how_many(texts: Sequence[str], room: int, count: Count, frame: int) -> int:
    """How many of ``texts``, from the first on, have room for what is worth showing; at least 1.

    ``frame`` is what stands around each, in tokens.
    """
    left = room
    for n, text in enumerate(texts):
        left -= min(count(text[:LONG_ENOUGH]), LEAST) + frame
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


def _cut(text: str, size: int, most: int, count: Count) -> Fitted:
    if size <= most:
        return Fitted(text)
    mark = "\n[… about {} tokens of this answer are left out here …]\n"
    room = max(most - count(mark.format(size)), 1)
    head = _beginning(text, size, int(room * HEAD), count)
    tail = _beginning(text[::-1], size, room - count(head), lambda t: count(t[::-1]))[::-1]
    missing = max(size - count(head) - count(tail), 1)
    return Fitted(f"{head.rstrip()}{mark.format(missing)}{tail.lstrip()}", missing)


def _beginning(text: str, size: int, most: int, count: Count) -> str:
    """A beginning of ``text``, which is ``size`` tokens, that is ``most`` or little fewer."""
    n = len(text) * most // size
    while n and (found := count(text[:n])) > most:
        n = min(n * most // found, n * 19 // 20)
    return text[:n]
