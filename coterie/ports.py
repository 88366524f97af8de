"""Protocols that two or more packages use.  A port with one consumer lives with that consumer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from coterie.types import Chunk, Completion, Grade, Health, Item, Question, Sampling


class Clock(Protocol):
    """Where the time comes from, so that tests can say what it is."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""

    def time(self) -> float:
        """Seconds since the epoch (UTC)."""


class Engine(Protocol):
    """One expert, ready to be asked.

    Every method raises a :class:`coterie.errors.EngineError` for what goes wrong with the expert,
    and only that.  Cancelling a call cancels the work behind it.
    """

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        """The expert's whole answer."""

    def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        """The expert's answer as it is written; the last chunk carries the usage."""

    async def count_tokens(self, question: Question) -> int:
        """How many prompt tokens ``question`` is for this expert, its chat template included."""

    async def health(self) -> Health:
        """Whether the expert can be asked now."""


class Task(Protocol):
    """A benchmark: questions in splits, and the rule that grades an output."""

    @property
    def name(self) -> str:
        """The name jobs and graded answers are kept under."""

    @property
    def secret(self) -> bool:
        """Whether its questions must never be written down in plain text."""

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        """The questions of ``split``; the first ``limit`` of a fixed, category-balanced order."""

    def grade(self, item: Item, output: str) -> Grade:
        """Grades one output; never raises for an odd output: what cannot be read is wrong."""
