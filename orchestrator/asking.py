"""Asks one expert, whole or streamed; what goes wrong with it comes back as a value."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from coterie.errors import EngineError
from coterie.types import Completion, Failure, Question, Usage
from orchestrator.failing import failure_of
from orchestrator.inquiry import Delta, Event, Inquiry
from orchestrator.roster import Roster


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks the experts of ``roster`` the ``question``, with the inquiry's sampling.

    An expert's error is a :class:`Failure`, so that another can take its place; it is raised where
    no other may: the expert was asked for by name, or its first tokens have gone out.
    """

    roster: Roster
    inquiry: Inquiry
    question: Question
    emit: Callable[[Event], None]

    async def whole(self, name: str) -> Completion | Failure:
        """The expert's completion."""
        started = time.perf_counter()
        try:
            engine = self.roster.engine(name)
            with self.roster.answering(name):
                return await engine.complete(
                    self.question, self.roster.sampling(name, self.inquiry)
                )
        except EngineError as error:
            return self._failure(name, error, started)

    async def streamed(self, name: str) -> Completion | Failure:
        """The expert's completion; its chunks go out as they come."""
        started = time.perf_counter()
        text: list[str] = []
        finish, usage = "stop", Usage()
        try:
            engine = self.roster.engine(name)
            stream = engine.stream(self.question, self.roster.sampling(name, self.inquiry))
            with self.roster.answering(name):
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        self.emit(Delta(name, chunk))
                        text.append(chunk.text)
                        finish = chunk.finish_reason or finish
                        usage = chunk.usage or usage
        except EngineError as error:
            if any(text):
                raise
            return self._failure(name, error, started)
        return Completion(name, "".join(text), finish, usage, time.perf_counter() - started)

    def _failure(self, name: str, error: EngineError, started: float) -> Failure:
        if self.inquiry.expert:
            raise error
        return replace(failure_of(error, time.perf_counter() - started), expert=name)
