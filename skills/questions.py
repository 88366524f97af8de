"""The questions experts were graded on, as they are kept, and the Memory they make.  Pure."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coterie.types import GradedAnswer, SkillWeight
from skills.memory import Memory

EMPTY = " "
"""Stands for an answer that was read, and is the empty text."""

SEALED = "sealed:"
"""Stands, before its hash, for a text that must not be written down."""

LONGEST_ANSWER = 80
"""Longer answers are remembered by their hash: all that matters is which of them are equal."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredQuestion:
    """One question that experts were graded on, with what was made of it.

    ``category`` is the task's own label; ``target`` the right answer, in the task's own form;
    ``options`` how many answers there are to choose from (0: an open question), ``choices`` their
    texts where known; questions of one ``group`` are variants of each other.  ``encoder`` and
    ``taxonomy`` say what ``skills`` and ``vector``, (d,), were made with; None: with nothing yet.
    ``secret``: its text must not be written down (this mark itself is not kept).
    """

    task: str
    item: str
    text: str
    category: str = ""
    target: str = ""
    options: int = 0
    choices: tuple[str, ...] = ()
    group: str = ""
    skills: tuple[SkillWeight, ...] = ()
    vector: NDArray[np.float32] | None = None
    encoder: str | None = None
    taxonomy: str | None = None
    secret: bool = False

    @property
    def sha256(self) -> str:
        """The hash of the text, the same before and after the database has cleaned it."""
        return self.text.removeprefix(SEALED) if self.is_sealed else _hash(self.text)

    @property
    def is_sealed(self) -> bool:
        """Whether the text was not kept: what was made of it cannot be made again."""
        return self.text.startswith(SEALED)

    @property
    def as_kept(self) -> StoredQuestion:
        """What may be written down: of a secret question neither its text nor its choices."""
        if not self.secret:
            return self
        return replace(self, text=f"{SEALED}{self.sha256}", choices=())

    @property
    def labels(self) -> tuple[object, ...]:
        """All that the task says of the question, apart from its text."""
        return (self.category, self.target, self.options, self.choices, self.group)

    def read_as(self, other: StoredQuestion) -> StoredQuestion:
        """This question with what was made of ``other``, whose text is the same."""
        return replace(
            self,
            skills=other.skills,
            vector=other.vector,
            encoder=other.encoder,
            taxonomy=other.taxonomy,
        )


def graded_questions(
    questions: Iterable[StoredQuestion], answers: Sequence[GradedAnswer]
) -> tuple[StoredQuestion, ...]:
    """The questions that ``answers`` are to, in the order of task and item.

    One that was never kept has no text, and the skills most of its answers name.
    """
    named: defaultdict[tuple[str, str], Counter[tuple[SkillWeight, ...]]] = defaultdict(Counter)
    for answer in answers:
        named[answer.task, answer.item][answer.skills] += 1
    kept = {(q.task, q.item): q for q in questions}
    return tuple(
        kept.get(key)
        or StoredQuestion(*key, "", skills=max(skills, key=lambda s: (skills[s], repr(s))))
        for key, skills in sorted(named.items())
    )


def memory_of(questions: Sequence[StoredQuestion], answers: Iterable[GradedAnswer]) -> Memory:
    """Everyone's ``answers`` to ``questions``, whose rows keep their order.

    Questions are called ``task/item``.  A question whose vector is missing, or of another length
    than the others', has the zero vector: it resembles nothing.
    """
    answers = list(answers)
    experts = tuple(sorted({a.expert for a in answers}))
    row = {(q.task, q.item): i for i, q in enumerate(questions)}
    column = {name: i for i, name in enumerate(experts)}
    shape = (len(questions), len(experts))
    at = (
        np.array([row[a.task, a.item] for a in answers], dtype=np.intp),
        np.array([column[a.expert] for a in answers], dtype=np.intp),
    )
    read = np.array([_remembered(a.extracted) for a in answers], dtype=np.str_)
    correct, tokens = (np.full(shape, np.nan, dtype=np.float32) for _ in range(2))
    given, readings = np.full(shape, "", dtype=read.dtype), np.zeros(shape, dtype=np.int8)
    correct[at] = [a.correct for a in answers]
    tokens[at] = [a.usage.completion_tokens or math.nan for a in answers]
    given[at] = read
    readings[at] = [a.reading for a in answers]
    return Memory(
        experts=experts,
        items=tuple(f"{q.task}/{q.item}" for q in questions),
        categories=tuple(q.category for q in questions),
        skills=tuple(q.skills for q in questions),
        vectors=_vectors(questions),
        options=np.array([q.options for q in questions], dtype=np.int16),
        correct=correct,
        answers=given,
        readings=readings,
        tokens=tokens,
    )


def _vectors(questions: Sequence[StoredQuestion]) -> NDArray[np.float32]:
    sizes = [len(q.vector) for q in questions if q.vector is not None]
    vectors = np.zeros((len(questions), max(sizes, default=0)), dtype=np.float32)
    for i, q in enumerate(questions):
        if q.vector is not None and len(q.vector) == vectors.shape[1]:
            vectors[i] = q.vector
    return vectors


def _remembered(answer: str | None) -> str:
    if answer is None:
        return ""
    if len(answer) <= LONGEST_ANSWER:
        return answer or EMPTY
    return f"{answer[: LONGEST_ANSWER - 18]}… {_hash(answer)[:16]}"


def _hash(text: str) -> str:
    clean = text.replace("\x00", "\ufffd").encode("utf-8", "replace")
    return hashlib.sha256(clean).hexdigest()
