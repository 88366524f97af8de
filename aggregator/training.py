"""What a vote that learns is fitted on: graded answers, as arrays.  Never a question of now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aggregator.base import Vote


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """The answers of ``e`` experts to ``q`` questions whose right answers are known.

    By question: ``texts``; ``targets``, the right answer; ``options``, (q), how many there are to
    choose from, 0 for an open question, and ``choices``, their texts where known; ``context``,
    (q, c), what each is about in numbers, estimated without the question; ``groups``, (q):
    questions with the same number are variants of each other, to be kept on one side of every
    division.

    By question and expert, (q, e): ``answers``, "" where none was read or given; ``correct``, NaN
    where none was given; ``readings``, a :class:`coterie.types.Reading` each; ``tokens``, NaN where
    not known; ``chances``, the expert's expected success as it would have been told beforehand:
    estimated without the question and its variants.
    """

    experts: tuple[str, ...]
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    options: NDArray[np.int16]
    choices: tuple[tuple[str, ...], ...]
    context: NDArray[np.float64]
    groups: NDArray[np.intp]
    answers: NDArray[np.str_]
    correct: NDArray[np.float32]
    readings: NDArray[np.int8]
    tokens: NDArray[np.float32]
    chances: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.targets)

    def by_name(self) -> Training:
        """The same, with the experts in the order of their names."""
        order = sorted(range(len(self.experts)), key=lambda e: self.experts[e])
        return replace(
            self,
            experts=tuple(self.experts[e] for e in order),
            answers=self.answers[:, order],
            correct=self.correct[:, order],
            readings=self.readings[:, order],
            tokens=self.tokens[:, order],
            chances=self.chances[:, order],
        )


@runtime_checkable
class Trainable(Protocol):
    """A vote that must be fitted before it can judge."""

    name: str

    def fit(self, training: Training) -> Vote:
        """The fitted vote; this one stays as it is."""
