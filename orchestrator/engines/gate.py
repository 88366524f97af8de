"""Counts the calls that an engine answers, and keeps new ones out while it is moved."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import cast

from coterie.errors import EngineError, EngineUnavailable
from coterie.ports import Engine
from coterie.types import JSON, Chunk, Completion, Health, Question, Sampling
from orchestrator.engines.embedding import Embedded, Embeds


class Gate:
    """Open to calls, or closed with a reason.  Not for threads: one event loop."""

    def __init__(self) -> None:
        self.inside = 0
        self._closed: str | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def reason(self) -> str | None:
        """Why it is closed; None: it is open."""
        return self._closed

    @contextlib.contextmanager
    def passing(self, expert: str) -> Iterator[None]:
        """One call of ``expert``; raises EngineUnavailable where the gate is closed."""
        if self._closed:
            raise EngineUnavailable(expert, self._closed, retry_after_s=5.0)
        self.inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.inside -= 1
            if not self.inside:
                self._empty.set()

    @contextlib.asynccontextmanager
    async def closed(self, reason: str) -> AsyncIterator[None]:
        """Closes it at once, and enters when the last call is out; one closer at a time."""
        self._closed = reason
        try:
            await self._empty.wait()
            yield
        finally:
            self._closed = None


class GatedEngine:
    """The Engine port over whatever engine serves ``expert`` at each call, through the gate.

    ``find`` is asked inside the gate: an engine that was started anew listens elsewhere.
    """

    def __init__(self, expert: str, gate: Gate, find: Callable[[], Engine]) -> None:
        self._expert = expert
        self._gate = gate
        self._find = find

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        with self._gate.passing(self._expert):
            return await self._find().complete(question, sampling)

    async def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        with self._gate.passing(self._expert):
            async with contextlib.aclosing(self._find().stream(question, sampling)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def count_tokens(self, question: Question) -> int:
        with self._gate.passing(self._expert):
            return await self._find().count_tokens(question)

    async def embed(self, texts: Sequence[str], fields: Mapping[str, JSON]) -> Embedded:
        """Vectors of ``texts``; of an embedding model's engine alone."""
        with self._gate.passing(self._expert):
            return await cast("Embeds", self._find()).embed(texts, fields)

    async def health(self) -> Health:
        """Whether it can be asked now: not while it is moved."""
        try:
            with self._gate.passing(self._expert):
                return await self._find().health()
        except EngineError as error:
            return Health(False, str(error))
