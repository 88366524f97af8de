"""How orders of asking would have done on the remembered questions: what thresholds are learned on.

Each question's experts answer in a given order, as remembered, and after each answer the
competence-weighted vote of :mod:`aggregator.vote` is taken: the same numbers, for all questions at
once.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.vote import LEAST_READABLE, OPEN_ANSWERS
from skills.memory import Memory

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsal:
    """What stood after each of up to ``t`` answers to ``q`` questions; (q, t) each.

    ``agreement`` is the posterior of the leading answer, ``right`` whether it is right, and
    ``cost`` what had been spent by then.  Where an order is shorter, its last column repeats.
    """

    agreement: Floats
    right: NDArray[np.bool_]
    cost: Floats

    def until(self, enough: float) -> tuple[NDArray[np.bool_], Floats]:
        """Whether the answer was right and what it cost, (q) each, asking until ``enough``."""
        done = self.agreement >= enough
        done[:, -1] = True
        at = np.argmax(done, axis=1)
        rows = np.arange(len(at))
        return self.right[rows, at], self.cost[rows, at]


@dataclass(frozen=True, slots=True, eq=False)
class _Ballots:
    """Who answered what, in the order of asking; (q, t) each, and ``options``, (q, 1).

    Equal ``codes`` of a row are equal answers; ``there``: the order is that long; ``read``: the
    answer could be read; ``votes``: the ballot counts, be it as prose that agrees with nobody.
    """

    columns: NDArray[np.intp]
    codes: NDArray[np.intp]
    there: NDArray[np.bool_]
    read: NDArray[np.bool_]
    votes: NDArray[np.bool_]
    chances: Floats
    options: NDArray[np.intp]

    def first(self, t: int) -> _Ballots:
        """The first ``t`` of each question."""
        return _Ballots(
            self.columns[:, :t],
            self.codes[:, :t],
            self.there[:, :t],
            self.read[:, :t],
            self.votes[:, :t],
            self.chances[:, :t],
            self.options,
        )


class Stage:
    """A memory made ready to play many orders on; what an expert answered becomes a number once."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        _, codes = np.unique(memory.answers, return_inverse=True)
        self._codes: NDArray[np.intp] = codes.reshape(memory.answers.shape)
        self._read = memory.answers != ""

    def rehearse(
        self, orders: Sequence[Sequence[int]], chances: Floats, costs: Floats
    ) -> Rehearsal:
        """Plays the ``orders``: columns of the memory, one order for each question, none empty.

        ``chances``: (q, e) expected success at each question; ``costs``: (e).  An expert that was
        not asked its question counts as having answered nothing.
        """
        ballots = self._ballots(orders, chances)
        rows, longest = np.arange(len(orders)), max(map(len, orders), default=0)
        agreement = np.zeros((len(orders), longest))
        right = np.zeros((len(orders), longest), dtype=bool)
        for t in range(longest):
            agreement[:, t], leads = _vote(ballots.first(t + 1))
            right[:, t] = self.memory.correct[rows, ballots.columns[rows, leads]] > 0.5
        spent = np.where(ballots.there, costs[ballots.columns], 0.0)
        return Rehearsal(agreement, right, np.cumsum(spent, axis=1))

    def right(self, committee: NDArray[np.intp], chances: Floats) -> NDArray[np.bool_]:
        """Whether the vote of one ``committee`` (columns) is right, (q), on every question."""
        ballots = self._ballots([committee.tolist()] * len(self.memory), chances)
        _, leads = _vote(ballots)
        rows = np.arange(len(self.memory))
        return np.asarray(self.memory.correct[rows, committee[leads]] > 0.5)

    def _ballots(self, orders: Sequence[Sequence[int]], chances: Floats) -> _Ballots:
        longest = max(map(len, orders), default=0)
        padded = [[*order, *[order[0]] * (longest - len(order))] for order in orders]
        columns = np.array(padded, dtype=np.intp).reshape(len(orders), longest)
        there = np.arange(longest) < np.array([len(o) for o in orders])[:, None]
        rows = np.arange(len(orders))[:, None]
        options = self.memory.options.astype(np.intp)[:, None]
        read = there & self._read[rows, columns]
        # Prose sorts before every answer, and is an answer of its expert's own.
        codes = np.where(read, self._codes[rows, columns], -1 - columns)
        votes = read | (there & (options == 0))
        return _Ballots(columns, codes, there, read, votes, chances[rows, columns], options)


def _vote(b: _Ballots) -> tuple[Floats, NDArray[np.intp]]:
    """The agreement after these ballots, and the place of the leader in each order; (q) each."""
    same = (b.codes[:, :, None] == b.codes[:, None, :]) & b.votes[:, :, None] & b.votes[:, None, :]
    given = np.maximum(same.sum(axis=2), 1)
    distinct = (b.votes / given).sum(axis=1, keepdims=True).round()
    m = np.maximum(np.where(b.options > 0, b.options, OPEN_ANSWERS), np.maximum(distinct + 1, 2))
    p = np.clip(b.chances, 0.01, 0.99)
    weight = (same * np.log(p * (m - 1) / (1 - p))[:, None, :]).sum(axis=2)
    top = np.maximum(np.where(b.votes, weight, -np.inf).max(axis=1, keepdims=True), 0.0)
    mass = np.where(b.votes, np.exp(weight - top), 0.0)
    total = (mass / given).sum(axis=1, keepdims=True) + (m - distinct) * np.exp(-top)
    belief = np.where(b.votes, mass / total, -1.0)
    best = np.where(same, b.chances[:, None, :], -1.0).max(axis=2)
    order = np.lexsort((b.columns, -b.chances, b.codes, -best, -belief), axis=-1)
    return _with_exceptions(b, np.take_along_axis(belief, order, 1)[:, 0], order[:, 0])


def _with_exceptions(
    b: _Ballots, agreement: Floats, leads: NDArray[np.intp]
) -> tuple[Floats, NDArray[np.intp]]:
    """One ballot alone is as good as its expert; what cannot be compared ends the asking, and the
    most reliable expert's answer stands for what it would write."""
    ballots, read = b.there.sum(axis=1), b.read.sum(axis=1)
    needed = np.where(b.options[:, 0] > 0, 1, np.maximum(1, LEAST_READABLE * ballots))
    alone, mute = ballots == 1, read < needed
    reliable = np.argmax(np.where(b.there, b.chances, -1.0), axis=1)
    agreement = np.where(alone, b.chances[:, 0], np.where(mute, 1.0, agreement))
    return agreement, np.where(alone, 0, np.where(mute, reliable, leads))
