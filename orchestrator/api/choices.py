"""Several answers to one request, each made by itself and all at the same time.

Each has its why-record: the request's id is the first one's, then come "ID-1", "ID-2" and so on.
Each counts as a request for a key's limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import Request, Response

from coterie.types import Chunk, Usage
from orchestrator.api.deps import CLIENT_CLOSED_REQUEST, CallerGone, EventStream, caller_of
from orchestrator.api.inquiring import admitted
from orchestrator.api.telling import DONE, Telling, answered
from orchestrator.inquiry import Event, Inquiry, Outcome
from orchestrator.keys.budget import NOTHING
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts

Asked = list[tuple[Inquiry, Pass]]


def numbered(inquiries: Sequence[Inquiry]) -> list[Inquiry]:
    """The inquiries with an id each, and an equal share of the request's budget."""
    first, budget_usd = inquiries[0], inquiries[0].wishes.budget_usd
    wishes = first.wishes
    if budget_usd is not None:
        wishes = replace(wishes, budget_usd=budget_usd / len(inquiries))
    ids = (first.id, *(f"{first.id}-{k}" for k in range(1, len(inquiries))))
    return [replace(one, id=id, wishes=wishes) for one, id in zip(inquiries, ids, strict=True)]


def repeated(inquiry: Inquiry, times: int) -> list[Inquiry]:
    """The same inquiry so often; a seed would draw the same answer again, so each has the next."""
    sampling, seed = inquiry.sampling, inquiry.sampling.seed
    drawn = [sampling if seed is None else replace(sampling, seed=seed + k) for k in range(times)]
    return numbered([replace(inquiry, sampling=one) for one in drawn])


async def all_admitted(inquiries: Sequence[Inquiry], request: Request, parts: Parts) -> Asked:
    """Leave for each; where one gets none, none goes on."""
    asked: Asked = []
    try:
        for inquiry in inquiries:
            asked.append((inquiry, await admitted(inquiry, caller_of(request), parts)))
    except BaseException:
        for _, leave in asked:
            leave.settle(NOTHING)
        raise
    return asked


async def all_answered(parts: Parts, asked: Asked) -> list[Outcome]:
    """Every outcome; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answered(parts, *one)) for one in asked]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def spent(outcomes: Sequence[Outcome]) -> tuple[Usage, float]:
    """Tokens and US dollars of all of them."""
    return sum((o.usage for o in outcomes), Usage()), sum(o.cost_usd for o in outcomes)


class Choice:
    """One choice as the lines of a stream: ``lines`` words its pieces, ``error`` how it broke off;
    ``before`` goes out first."""

    def __init__(
        self,
        lines: Callable[[Chunk], Sequence[str]],
        error: Callable[[Mapping[str, Any]], str],
        before: Sequence[str] = (),
    ) -> None:
        self._lines = lines
        self._error = error
        self._before = before
        self.outcome: Outcome | None = None
        self.broken = False

    def begin(self) -> Sequence[str]:
        return self._before

    def piece(self, chunk: Chunk) -> Sequence[str]:
        return self._lines(chunk)

    def end(self, outcome: Outcome) -> Sequence[str]:
        self.outcome = outcome
        return []

    def failed(self, body: Mapping[str, Any]) -> Sequence[str]:
        self.broken = True
        return [self._error(body)]


class Choices:
    """The streamed choices, told one after another; all are written from the beginning.

    ``last`` words what follows them, where all came to their end.
    """

    def __init__(
        self,
        parts: Parts,
        asked: Asked,
        choices: Sequence[Choice],
        last: Callable[[Sequence[Outcome]], Sequence[str]],
    ) -> None:
        self._choices = choices
        self._last = last
        self._tellings = [
            Telling(parts, inquiry, choice, leave)
            for (inquiry, leave), choice in zip(asked, choices, strict=True)
        ]

    async def respond(self, request: Request) -> Response:
        """The streaming response, once there is something to stream."""
        try:
            first = await self._tellings[0].begun(request)
        except CallerGone:
            await self._close()
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except BaseException:
            await self._close()
            raise
        return EventStream(self._lines(first), self._tellings[0].headers(), self._close)

    async def _close(self) -> None:
        for telling in self._tellings:
            await telling.close()

    async def _lines(self, event: Event | None) -> AsyncGenerator[str, None]:
        for choice, telling in zip(self._choices, self._tellings, strict=True):
            async with aclosing(telling.lines(event)) as lines:
                async for line in lines:
                    yield line
            event = None
            if choice.broken:
                break
        outcomes = [choice.outcome for choice in self._choices if choice.outcome]
        if len(outcomes) == len(self._choices):
            for line in self._last(outcomes):
                yield line
        yield DONE
