"""Made-up panels of experts and their graded answers, for votes that learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.base import Case
from aggregator.training import Training
from coterie.types import Ballot, Reading

LETTERS = np.array(list("ABCDE"))
Answers = NDArray[np.str_]


class Panel:
    """Questions with five options each, on one of two subjects, whose right answers are drawn."""

    def __init__(self, n: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = n
        self.targets: Answers = self.rng.choice(LETTERS, n)
        self.subject: NDArray[np.intp] = np.arange(n) % 2
        self._answers: dict[str, Answers] = {}
        self._chances: dict[str, NDArray[np.float64]] = {}

    def expert(self, name: str, *rates: float, told: Sequence[float] = ()) -> None:
        """One right at ``rates``, one or one a subject; ``told`` is what is believed instead."""
        rate = np.broadcast_to(rates, 2)[self.subject]
        wrong = (self.targets[:, None] == LETTERS).argmax(axis=1) + self.rng.integers(1, 5, self.n)
        right = self.rng.random(self.n) < rate
        self._answers[name] = np.where(right, self.targets, LETTERS[wrong % 5])
        self._chances[name] = np.broadcast_to(told, 2)[self.subject] if told else rate

    def twin(self, name: str, of: str) -> None:
        """One that always says the same as another."""
        self._answers[name], self._chances[name] = self._answers[of], self._chances[of]

    def training(self, **fields: Any) -> Training:
        """What they did, as a vote learns from it."""
        answers = np.stack(list(self._answers.values()), axis=1)
        found = Training(
            experts=tuple(self._answers),
            texts=tuple(f"Which of these is item {i}?" for i in range(self.n)),
            targets=tuple(self.targets.tolist()),
            options=np.full(self.n, 5, dtype=np.int16),
            choices=((),) * self.n,
            context=np.where(self.subject[:, None] == [0, 1], 0.5, -0.5),
            groups=np.arange(self.n),
            answers=answers,
            correct=(answers == self.targets[:, None]).astype(np.float32),
            readings=np.full(answers.shape, Reading.STATED, dtype=np.int8),
            tokens=np.full(answers.shape, np.nan, dtype=np.float32),
            chances=np.stack(list(self._chances.values()), axis=1),
        )
        return replace(found, **fields)


def cases(training: Training, asked: Callable[[int], Sequence[int]] | None = None) -> list[Case]:
    """The questions of ``training`` as cases that are judged."""
    everyone = range(len(training.experts))
    return [case_of(training, q, asked(q) if asked else everyone) for q in range(len(training))]


def case_of(training: Training, q: int, asked: Sequence[int]) -> Case:
    """One of them, with the ballots of those asked, by column."""
    ballots = tuple(
        Ballot(
            training.experts[e],
            str(training.answers[q, e]) or None,
            Reading(int(training.readings[q, e])),
            None if np.isnan(training.tokens[q, e]) else int(training.tokens[q, e]),
        )
        for e in asked
    )
    return Case(
        ballots,
        dict(zip(training.experts, training.chances[q].tolist(), strict=True)),
        int(training.options[q]),
        text=training.texts[q],
        choices=training.choices[q],
        context=training.context[q],
    )
