"""What small models are to read in a step, cut into forward passes.  Pure.

Rows with one new token go together; prompts go together by length, in pieces and batches small
enough that reading a long one needs no more memory than the engine can spare:

    A has 5000 new tokens, B 3, C 1, D 1   -->   [C D]  [A: 2048, B: 3]  [A: 2048]  [A: 904]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PIECE = 2048
"""Tokens of one row in one pass, at most."""

PASS = 8192
"""Tokens of all rows in one pass, padding included, at most (one row may have a piece)."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A small model is to go on with a request.

    ``key`` is the request, ``small`` the name of the small model; ``row`` is where the step's
    tokens have the request's, ``length`` how many it has by now, prompt and output.
    """

    key: int
    small: str
    row: int
    length: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions ``start`` to ``stop`` of the slot ``slot`` are to be read for feed ``feed``.

    ``last``: what follows is what is to be predicted.
    """

    feed: int
    slot: int
    start: int
    stop: int
    last: bool = True

    @property
    def width(self) -> int:
        """How many tokens it has."""
        return self.stop - self.start


def passes(stretches: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """Batches of stretches, each by slot; the pieces of one row in their order."""
    waiting = list(stretches)
    while waiting:
        pieces, waiting = _next_pieces(waiting)
        for batch in _batches(pieces):
            yield sorted(batch, key=lambda stretch: stretch.slot)


def _next_pieces(waiting: Sequence[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    pieces: list[Stretch] = []
    rest: list[Stretch] = []
    for s in waiting:
        cut = min(s.stop, s.start + PIECE)
        pieces.append(Stretch(s.feed, s.slot, s.start, cut, last=cut == s.stop))
        if cut < s.stop:
            rest.append(Stretch(s.feed, s.slot, cut, s.stop))
    return pieces, rest


def _batches(pieces: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """Single tokens in one batch, longer pieces by width, as many as a pass may have."""
    if single := [piece for piece in pieces if piece.width == 1]:
        yield single
    batch: list[Stretch] = []
    for piece in sorted((p for p in pieces if p.width > 1), key=lambda p: p.width):
        if batch and piece.width * (len(batch) + 1) > PASS:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch
