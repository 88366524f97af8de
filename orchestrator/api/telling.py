"""Answers inquiries and tells the answer: whole, or streamed as a ``Teller`` words it.

Knows nothing of a protocol but that it goes over server-sent events.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import Response

from coterie.errors import CoterieError
from coterie.types import Chunk
from orchestrator.api.deps import (
    CLIENT_CLOSED_REQUEST,
    CallerGone,
    EventStream,
    while_connected,
)
from orchestrator.api.inquiring import why_headers
from orchestrator.api.story import Story
from orchestrator.inquiry import Delta, Event, Finished, Inquiry, Outcome
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts
from orchestrator.protocol.errors import error_body, status_and_body

log = logging.getLogger(__name__)


DONE = "data: [DONE]\n\n"
"""The last line of a stream of chunks."""

Aside = Callable[[Story], Awaitable[Sequence[str]]]
"""Events of the stream, as text, that tell what has happened but for tokens."""


class Teller(Protocol):
    """Words one answer as the lines of a stream."""

    def begin(self) -> Sequence[str]:
        """Before everything else."""

    def piece(self, chunk: Chunk) -> Sequence[str]:
        """A piece of the answer."""

    def end(self, outcome: Outcome) -> Sequence[str]:
        """The answer is whole."""

    def failed(self, body: Mapping[str, Any]) -> Sequence[str]:
        """It broke off with the OpenAI error object in ``body``."""


async def answered(parts: Parts, inquiry: Inquiry, leave: Pass) -> Outcome:
    """The outcome, its why-record kept and its cost counted, however it ends."""
    story = Story(inquiry, parts.traces, leave, parts.roster.cost_usd)
    try:
        outcome = await parts.coterie.run(inquiry, story.see)
        story.answered(outcome)
        return outcome
    except Exception as error:
        story.failed(error)
        raise
    finally:
        story.left()


def outcome_headers(outcome: Outcome, leave: Pass) -> dict[str, str]:
    """What a whole answer's response says in its headers."""
    experts = [c.expert for c in outcome.completions]
    return {**why_headers(outcome.route, experts, outcome.overhead_ms), **leave.headers}


class Telling:
    """One streamed answer.

    The response begins with the first token, or when a comment is due: what fails before has a
    status of its own, what fails after is told by the teller.

    With ``aside`` it begins at once, and after everything that happens but tokens ``aside`` is
    asked what goes out beside them.
    """

    def __init__(
        self,
        parts: Parts,
        inquiry: Inquiry,
        teller: Teller,
        leave: Pass,
        aside: Aside | None = None,
    ) -> None:
        self._aside = aside
        self._inquiry = inquiry
        self._teller = teller
        self._every_s = parts.settings.stream_comment_s
        self._leave = leave
        self._story = Story(inquiry, parts.traces, leave, parts.roster.cost_usd)
        self._feed = parts.coterie.stream(inquiry)

    async def respond(self, request: Request) -> Response:
        """The streaming response, once there is something to stream."""
        if self._aside:
            return EventStream(self.lines(None), self.headers(), self.close)
        try:
            first = await self.begun(request)
        except CallerGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return EventStream(self.lines(first), self.headers(), self.close)

    async def begun(self, request: Request) -> Event | None:
        """What :meth:`lines` begin with; None: a comment.  Closes where there will be none.

        Raises CallerGone, and whatever the answer failed with.
        """
        try:
            return await while_connected(request.receive, self._first())
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, CallerGone):
                self._story.failed(error)
            await self.close()
            raise

    def headers(self) -> dict[str, str]:
        """Who was asked, as far as it is known."""
        routed = self._story.routed
        if routed is None:  # a comment was due before there was a route
            return {"x-coterie-strategy": self._inquiry.strategy, **self._leave.headers}
        told = why_headers(routed.route, list(routed.route.chosen), routed.overhead_ms)
        return {**told, **self._leave.headers}

    async def close(self) -> None:
        """Ends what is under way."""
        await self._feed.aclose()
        self._story.left()

    async def _first(self) -> Event | None:
        due = time.monotonic() + self._every_s
        while event := await self._feed.next(due - time.monotonic()):
            self._story.see(event)
            if isinstance(event, Delta | Finished):
                return event
        return None

    async def lines(self, event: Event | None) -> AsyncGenerator[str, None]:
        """The stream, from ``event`` on."""
        try:
            for line in self._teller.begin():
                yield line
            due = 0.0
            while not isinstance(event, Finished):
                if lines := [*await self._beside(event), *self._lines(event)]:
                    for line in lines:
                        yield line
                    due = time.monotonic() + self._every_s
                event = await self._feed.next(due - time.monotonic())
                if event:
                    self._story.see(event)
            self._story.answered(event.outcome)
            for line in (*await self._beside(event), *self._teller.end(event.outcome)):
                yield line
        except CoterieError as error:
            for line in await self._failed(error, status_and_body(error)[1]):
                yield line
        except Exception as error:
            log.exception("internal error in stream %s", self._inquiry.id)
            told = error_body("internal error", "api_error", None, "internal_error")
            for line in await self._failed(error, told):
                yield line

    async def _beside(self, event: Event | None = None) -> Sequence[str]:
        if self._aside is None or isinstance(event, Delta):
            return ()
        return await self._aside(self._story)

    async def _failed(self, error: Exception, body: Mapping[str, Any]) -> list[str]:
        self._story.failed(error)
        return [*await self._beside(), *self._teller.failed(body)]

    def _lines(self, event: Event | None) -> Sequence[str]:
        if event is None:
            return [f": {self._story.waiting}\n\n"]
        return self._teller.piece(event.chunk) if isinstance(event, Delta) else ()
