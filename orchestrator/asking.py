"""Asks one expert, whole or streamed; what goes wrong with it comes back as a value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from aggregator.acceptance import ANY_FORM, Form
from coterie.errors import EngineError, EngineRejected
from coterie.types import Chunk, Completion, Failure, Question, Sampling, Usage
from orchestrator.deliberation import ANSWER, Reply, counted
from orchestrator.failing import (
    NO_LOGPROBS,
    TIMEOUT,
    TOO_FEW_CHOICES,
    error_of,
    failure_of,
    rejected,
)
from orchestrator.gathering import Gathering
from orchestrator.inquiry import Call, Delta, Event, Inquiry
from orchestrator.keys.estimate import choices_of
from orchestrator.needs import wants_logprobs
from orchestrator.roster import Roster

LATE = "too_late"
"""Code of a call that was given up at its deadline."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks the experts of ``roster`` the ``question``, with the inquiry's sampling.

    An expert's error is a :class:`Failure`, so that another can take its place; it is raised where
    no other may: the expert was asked for by name, or its first tokens have gone out.  So is an
    answer that is empty, misses ``form``, or has not come after ``deadline_s`` (streamed: has not
    begun).  Every call that ended is told to ``emit``, with what it took.
    """

    roster: Roster
    inquiry: Inquiry
    question: Question
    emit: Callable[[Event], None]
    role: str = ANSWER
    form: Form = ANY_FORM
    deadline_s: float | None = None

    async def whole(self, name: str) -> Reply:
        """The expert's completion."""
        started, limit = time.perf_counter(), asyncio.timeout(self.deadline_s)
        try:
            engine = self.roster.engine(name)
            with self.roster.answering(name):
                async with limit:
                    found = await engine.complete(self.question, self._sampling(name))
            found = self._checked(found)
        except EngineError as error:
            return self._failed(self._failure(name, error, started), error)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._failed(self._late(name, started, "answer"))
        return self._counted(found)

    async def streamed(self, name: str) -> Reply:
        """The expert's completion; its chunks go out as they come."""
        started, limit = time.perf_counter(), asyncio.timeout(self.deadline_s)
        answer = Gathering(name)
        try:
            engine = self.roster.engine(name)
            stream = engine.stream(self.question, self._sampling(name))
            with self.roster.answering(name):
                async with limit:
                    await self._pass_on(stream, answer, limit)
            self._check_choices(name, len(answer.choices), answer.usage)
        except EngineError as error:
            error.usage = error.usage or answer.usage
            return self._failed(self._failure(name, error, started), error, seen=answer.seen)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._failed(self._late(name, started, "begin to answer", answer.usage))
        found = self._counted(answer.completion(time.perf_counter() - started), seen=answer.seen)
        if isinstance(found, Completion):
            self._send(name, *answer.rest())
        return found

    async def _pass_on(
        self, stream: AsyncGenerator[Chunk, None], answer: Gathering, limit: asyncio.Timeout
    ) -> None:
        wanted = self._choices
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if chunk.index >= wanted:
                    continue  # nobody has asked for it
                if chunk.text and chunk.logprobs is None and not answer.seen:
                    self._check_logprobs(answer.expert, answer.usage)
                if ready := answer.add(chunk):
                    limit.reschedule(None)  # it has begun
                    self._send(answer.expert, *ready)

    def _send(self, name: str, *chunks: Chunk) -> None:
        for chunk in chunks:
            self.emit(Delta(name, chunk))

    def _sampling(self, name: str) -> Sampling:
        return self.roster.sampling(name, self.inquiry)

    @property
    def _choices(self) -> int:
        return choices_of(self.inquiry.sampling)

    # --- what was asked for and did not come ----------------------------------------------------

    def _checked(self, found: Completion) -> Completion:
        """The answer without choices that nobody has asked for.

        Raises EngineRejected where it lacks what its server has passed over.
        """
        self._check_choices(found.expert, 1 + len(found.others), found.usage)
        if found.text and found.logprobs is None:
            self._check_logprobs(found.expert, found.usage)
        return replace(found, others=found.others[: self._choices - 1]) if found.others else found

    def _check_logprobs(self, name: str, usage: Usage | None) -> None:
        if wants_logprobs(self.inquiry.sampling.extra):
            told = (
                "its server gave no 'logprobs', which the request asks for; leave them out, or ask "
                "an expert that has them"
            )
            raise _passed_over(name, told, NO_LOGPROBS, usage)

    def _check_choices(self, name: str, came: int, usage: Usage | None) -> None:
        if came < self._choices:
            told = (
                f"its server gave {came} of the {self._choices} choices that the request asks for "
                "by 'n'; ask it as many times instead"
            )
            raise _passed_over(name, told, TOO_FEW_CHOICES, usage)

    # --- what came of it ------------------------------------------------------------------------

    def _counted(self, found: Completion, *, seen: bool = False) -> Reply:
        reply = counted(found, self.form, shown=seen or bool(self.inquiry.expert))
        if isinstance(reply, Failure):
            return self._failed(reply, seen=seen)
        self._tell(found.expert, found.usage, found.latency_s)
        return reply

    def _failed(
        self, failure: Failure, error: EngineError | None = None, *, seen: bool = False
    ) -> Failure:
        self._tell(failure.expert, failure.usage, failure.latency_s, failure)
        if self.inquiry.expert or seen:
            raise error or error_of(failure)
        return failure

    def _tell(
        self, name: str, usage: Usage | None, latency_s: float, failure: Failure | None = None
    ) -> None:
        cost = self.roster.cost_usd(name, usage or Usage())
        call = Call(name, self.role, usage, cost, latency_s)
        if failure:
            call = replace(call, error=failure.error, kind=failure.kind)
        self.emit(call)

    def _late(self, name: str, started: float, what: str, usage: Usage | None = None) -> Failure:
        told = f"expert {name!r}: it did not {what} within {self.deadline_s:g} s"
        took = time.perf_counter() - started
        return Failure(name, told, took, code=LATE, kind=TIMEOUT, usage=usage)

    def _failure(self, name: str, error: EngineError, started: float) -> Failure:
        return replace(failure_of(error, time.perf_counter() - started), expert=name)


def _passed_over(name: str, told: str, code: str, usage: Usage | None) -> EngineRejected:
    error = rejected(name, told, code)
    error.usage = usage
    return error
