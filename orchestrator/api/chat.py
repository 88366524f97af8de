"""``POST /v1/chat/completions``: plain and streamed; ``POST /v1/routes``: decide only."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.errors import CoterieError, UnknownModel
from coterie.types import Chunk
from orchestrator.api.choices import (
    Choice,
    Choices,
    all_admitted,
    all_answered,
    repeated,
    spent,
)
from orchestrator.api.deps import (
    CLIENT_CLOSED_REQUEST,
    CallerGone,
    EventStream,
    ForChat,
    ForReader,
    caller_of,
    while_connected,
)
from orchestrator.api.described import ASKING
from orchestrator.api.direct import DirectRoute
from orchestrator.api.inquiring import admitted, to_inquiry, why_headers
from orchestrator.api.story import Story
from orchestrator.api.telling import outcome_headers
from orchestrator.graph import decide, query_of
from orchestrator.inquiry import Delta, Event, Finished, Inquiry, Outcome
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts
from orchestrator.protocol.chat import ChatRequest, ChunkBodies, completion_body
from orchestrator.protocol.errors import error_body, status_and_body
from orchestrator.why import explanation, route_record

log = logging.getLogger(__name__)
router = APIRouter()
direct = APIRouter(route_class=DirectRoute)


@direct.post("/v1/chat/completions", response_model=None, responses=ASKING)
async def chat_completions(body: ChatRequest, request: Request, parts: ForChat) -> Response:
    """Answers a conversation with the coterie, one of its strategies, or one expert by name."""
    inquiry = to_inquiry(body, request, parts)
    if body.choices > 1 and not inquiry.expert:
        return await _several(body, inquiry, request, parts)
    leave = await admitted(inquiry, caller_of(request), parts)
    if body.stream:
        return await Conversation(parts, inquiry, body, leave).respond(request)
    return await _whole(body, inquiry, request, parts, leave)


router.include_router(direct)


@router.post("/v1/routes")
async def decide_only(
    body: ChatRequest, request: Request, response: Response, parts: ForChat
) -> dict[str, Any]:
    """The route the request would take; nobody is asked."""
    inquiry = to_inquiry(body, request, parts)
    response.headers.update(await parts.meter.count(caller_of(request)))
    services = parts.coterie.services
    _, route = await decide(inquiry, await query_of(inquiry, services), services)
    return route_record(inquiry, route)


@router.get("/v1/routes/{id}")
async def why(id: str, request: Request, parts: ForReader) -> dict[str, Any]:
    """The why-record of an earlier request, of the caller's own unless its role sees all."""
    record = await parts.traces.get(id)
    if record is None or not caller_of(request).owns(str(record.get("key", ""))):
        raise UnknownRoute(id)
    return dict(record)


class UnknownRoute(UnknownModel):
    """No why-record of that id is kept."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no route {id!r}: it never was, or is no longer kept", param="id")


async def _whole(
    body: ChatRequest, inquiry: Inquiry, request: Request, parts: Parts, leave: Pass
) -> Response:
    story = Story(inquiry, parts.traces, leave, parts.roster.cost_usd)
    try:
        outcome = await while_connected(request.receive, parts.coterie.run(inquiry, story.see))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except Exception as error:
        story.failed(error)
        raise
    else:
        story.answered(outcome)
    finally:
        story.left()
    told = completion_body(
        f"chatcmpl-{inquiry.id}",
        int(time.time()),
        body.model,
        outcome.answer,
        outcome.usage,
        outcome.cost_usd,
    )
    if inquiry.wishes.explain:
        told["coterie"] = explanation(outcome)
    return JSONResponse(told, headers=outcome_headers(outcome, leave))


async def _several(body: ChatRequest, inquiry: Inquiry, request: Request, parts: Parts) -> Response:
    """``n`` answers, each made as if it was the only one."""
    asked = await all_admitted(repeated(inquiry, body.choices), request, parts)
    id, created = f"chatcmpl-{inquiry.id}", int(time.time())
    if body.stream:
        bodies = ChunkBodies(id, created, body.model, with_usage=body.wants_usage)
        choices = [Choice(partial(_pieces, bodies, index=i), _data) for i in range(len(asked))]
        last = partial(_last, body, bodies)
        return await Choices(parts, asked, choices, last).respond(request)
    try:
        outcomes = await while_connected(request.receive, all_answered(parts, asked))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    first, *others = (o.answer for o in outcomes)
    answers = replace(first, others=tuple(others))
    told = completion_body(id, created, body.model, answers, *spent(outcomes))
    if inquiry.wishes.explain:
        told["coterie"] = {"choices": [explanation(o) for o in outcomes]}
    return JSONResponse(told, headers=outcome_headers(outcomes[0], asked[-1][1]))


def _pieces(bodies: ChunkBodies, chunk: Chunk, *, index: int = 0) -> list[str]:
    return [_data(piece) for piece in bodies.pieces(chunk, index)]


def _last(body: ChatRequest, bodies: ChunkBodies, outcomes: Sequence[Outcome]) -> list[str]:
    """What follows the pieces of all choices."""
    told = []
    if body.wants_explanation:
        each = [explanation(o) for o in outcomes]
        told.append(bodies.explained(each[0] if len(each) == 1 else {"choices": each}))
    if body.wants_usage:
        told.append(bodies.usage(*spent(outcomes)))
    return [_data(one) for one in told]


Aside = Callable[[Story], Awaitable[Sequence[str]]]
"""Events of the stream, as text, that tell what has happened but for tokens."""


class Conversation:
    """One streamed answer.

    The response begins with the first token, or when a comment is due because nothing was heard for
    so long.  Whatever fails before has a status of its own; what fails after it ends the stream
    with an error event.

    With ``aside`` it begins at once, and after everything that happens but tokens ``aside`` is
    asked what goes out beside them.
    """

    def __init__(
        self,
        parts: Parts,
        inquiry: Inquiry,
        body: ChatRequest,
        leave: Pass,
        aside: Aside | None = None,
    ) -> None:
        self._parts = parts
        self._inquiry = inquiry
        self._aside = aside
        self._body = body
        self._bodies = ChunkBodies(
            f"chatcmpl-{inquiry.id}", int(time.time()), body.model, with_usage=body.wants_usage
        )
        self._every_s = parts.settings.stream_comment_s
        self._leave = leave
        self._story = Story(inquiry, parts.traces, leave, parts.roster.cost_usd)
        self._feed = parts.coterie.stream(inquiry)

    async def respond(self, request: Request) -> Response:
        """The streaming response, once there is something to stream."""
        if self._aside:
            return EventStream(self._lines(None), self._headers(), self._close)
        try:
            first = await while_connected(request.receive, self._first())
        except CallerGone:
            await self._close()
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except BaseException as error:
            if isinstance(error, Exception):
                self._story.failed(error)
            await self._close()
            raise
        return EventStream(self._lines(first), self._headers(), self._close)

    def _headers(self) -> dict[str, str]:
        routed = self._story.routed
        if routed is None:  # a comment was due before there was a route
            return {"x-coterie-strategy": self._inquiry.strategy, **self._leave.headers}
        told = why_headers(routed.route, list(routed.route.chosen), routed.overhead_ms)
        return {**told, **self._leave.headers}

    async def _close(self) -> None:
        await self._feed.aclose()
        self._story.left()

    async def _first(self) -> Event | None:
        """What the response begins with; None: a comment."""
        due = time.monotonic() + self._every_s
        while event := await self._feed.next(due - time.monotonic()):
            self._story.see(event)
            if isinstance(event, Delta | Finished):
                return event
        return None

    async def _lines(self, event: Event | None) -> AsyncGenerator[str, None]:
        due = 0.0
        try:
            while not isinstance(event, Finished):
                if lines := [*await self._beside(event), *self._line(event)]:
                    for line in lines:
                        yield line
                    due = time.monotonic() + self._every_s
                event = await self._feed.next(due - time.monotonic())
                if event:
                    self._story.see(event)
            self._story.answered(event.outcome)
            for line in await self._beside(event):
                yield line
            for line in _last(self._body, self._bodies, [event.outcome]):
                yield line
        except CoterieError as error:
            for line in await self._failed(error, status_and_body(error)[1]):
                yield line
        except Exception as error:
            log.exception("internal error in stream %s", self._inquiry.id)
            told = error_body("internal error", "api_error", None, "internal_error")
            for line in await self._failed(error, told):
                yield line
        yield "data: [DONE]\n\n"

    async def _beside(self, event: Event | None = None) -> Sequence[str]:
        if self._aside is None or isinstance(event, Delta):
            return ()
        return await self._aside(self._story)

    async def _failed(self, error: Exception, body: dict[str, Any]) -> list[str]:
        self._story.failed(error)
        return [*await self._beside(), _data(body)]

    def _line(self, event: Event | None) -> list[str]:
        if event is None:
            return [f": {self._story.waiting}\n\n"]
        return _pieces(self._bodies, event.chunk) if isinstance(event, Delta) else []


def _data(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def new_request_id() -> str:
    return uuid.uuid4().hex
