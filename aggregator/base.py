"""What a vote is: ballots in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aggregator.extract import options_of, read_answer
from coterie.types import Ballot, Completion, Question, SkillWeight, Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """What is voted on, and all that is known of it before the votes are counted.

    ``chances`` maps each expert to its expected success on this question, in [0, 1]; ``options`` is
    the number of answers to choose from, 0 for an open question, and ``choices`` are their texts,
    where known; ``text`` is the question's own; ``context``, (c), tells what it is about in
    numbers, as the vote was told of the questions it learned from.
    """

    ballots: tuple[Ballot, ...]
    chances: Mapping[str, float]
    options: int = 0
    skills: tuple[SkillWeight, ...] = ()
    text: str = ""
    choices: tuple[str, ...] = ()
    context: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)

    @property
    def votes(self) -> dict[str, tuple[str, ...]]:
        """Each answer with the experts that gave it, in the order of the ballots."""
        found: dict[str, tuple[str, ...]] = {}
        for ballot in self.ballots:
            if ballot.answer is not None:
                found[ballot.answer] = (*found.get(ballot.answer, ()), ballot.expert)
        return found


class Vote(Protocol):
    """Decides what several ballots say together.  Pure: it asks nobody."""

    name: str

    def judge(self, case: Case) -> Verdict:
        """The verdict; its leader is None where there is nothing to compare."""


def ballots_of(question: Question, completions: Sequence[Completion]) -> tuple[Ballot, ...]:
    """One ballot a completion, with the answer read out of its text."""
    return tuple(
        Ballot(c.expert, *read_answer(question.text, c.text), c.usage.completion_tokens)
        for c in completions
    )


def options_in(question: Question) -> int:
    """How many answers the question gives to choose from; 0 for an open one."""
    return len(options_of(question.text))
