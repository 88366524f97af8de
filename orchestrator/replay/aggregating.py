"""Under which agreement an aggregator is worth asking: learned from the trials of aggregating.

A trial shows several stored answers to one question.  What a vote over the same answers comes to,
and how far it agrees, is known as well; where the answers differ, the two are compared.  Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aggregator.base import Case
from aggregator.vote import Weighted, answers_given
from coterie.types import Ballot, GradedAnswer, Item, Question
from skills.aggregation import PREFIX, Trial, is_aggregation, trials_of
from skills.evidence import rates_of_others
from skills.questions import StoredQuestion, memory_of

LEAST = 100
"""Trials whose answers differ under which nothing is compared: differences would be noise."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One trial whose answers differ: how far the vote agrees, and who of the two is right."""

    agreement: float
    vote: bool
    written: bool


def threshold(trials: Sequence[Compared]) -> float:
    """The agreement under which whoever wrote was right most often beyond the vote.

    0 where there are too few trials, and where writing was not better by one standard error.
    """
    if len(trials) < LEAST:
        return 0.0
    ranked = sorted(trials, key=lambda t: t.agreement)
    agreement = np.array([*(t.agreement for t in ranked), 1.0])
    gain = np.array([int(t.written) - int(t.vote) for t in ranked], dtype=np.float64)
    last = np.flatnonzero(agreement[1:] > agreement[:-1])  # equal agreement is cut nowhere
    if not len(last):
        return 0.0
    total = np.cumsum(gain)
    best = int(last[np.argmax(total[last])])
    won = gain[: best + 1]
    if total[best] <= math.sqrt(len(won)) * float(won.std()) or total[best] <= 0:
        return 0.0
    return float((agreement[best] + agreement[best + 1]) / 2)


def learned(questions: Sequence[StoredQuestion], answers: Sequence[GradedAnswer]) -> float:
    """The threshold that stored trials teach, for the writer that was right on most of them."""
    return threshold(max(_by_writer(questions, answers).values(), key=_right, default=()))


def _right(trials: Sequence[Compared]) -> float:
    return sum(t.written for t in trials) / len(trials) if len(trials) >= LEAST else 0.0


def _by_writer(
    questions: Sequence[StoredQuestion], answers: Sequence[GradedAnswer]
) -> Mapping[str, Sequence[Compared]]:
    found: defaultdict[str, list[Compared]] = defaultdict(list)
    voted = {
        (task, trial.id): case
        for task in sorted({a.task for a in answers if is_aggregation(a.task)})
        for trial, case in _cases(task.removeprefix(PREFIX), questions, answers)
    }
    for answer in answers:
        if case := voted.get((answer.task, answer.item)):
            agreement, vote = case
            found[answer.expert].append(Compared(agreement, vote, answer.correct))
    return found


def _cases(
    task: str, questions: Sequence[StoredQuestion], answers: Sequence[GradedAnswer]
) -> Iterator[tuple[Trial, tuple[float, bool]]]:
    """The trials of a task whose answers differ, each with the vote's agreement and whether it is
    right.  They are drawn again: an aggregation of answers that have changed finds none."""
    asked = [q for q in questions if q.task == task]
    own = [a for a in answers if a.task == task]
    memory = memory_of(asked, own)
    rates = rates_of_others(memory)
    row = {q.item: i for i, q in enumerate(asked)}
    items = [Item(q.item, Question.of(q.text), q.target, q.category) for q in asked]
    for trial in trials_of(own, items):
        i = row[trial.item.id]
        chances = dict(zip(memory.experts, rates[i].tolist(), strict=True))
        ballots = tuple(map(_ballot, trial.outputs))
        case = Case(ballots, chances, asked[i].options or len(asked[i].choices))
        verdict = Weighted().judge(case)
        if verdict.leader is not None and len(answers_given(case)) > 1:
            right = next(a.correct for a in trial.outputs if a.expert == verdict.leader)
            yield trial, (verdict.agreement, right)


def _ballot(answer: GradedAnswer) -> Ballot:
    return Ballot(answer.expert, answer.extracted, answer.reading, answer.usage.completion_tokens)
