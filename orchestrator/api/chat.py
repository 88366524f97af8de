"""``POST /v1/chat/completions``: plain and streamed; ``POST /v1/routes``: decide only."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.errors import CoterieError, UnknownModel
from coterie.types import Route
from orchestrator.api.deps import (
    CallerGone,
    EventStream,
    ForChat,
    ForReader,
    caller_of,
    while_connected,
)
from orchestrator.api.described import ASKING
from orchestrator.api.direct import DirectRoute
from orchestrator.api.story import Story
from orchestrator.graph import decide, query_of
from orchestrator.inquiry import Delta, Event, Finished, Inquiry
from orchestrator.keys.budget import Spent
from orchestrator.keys.estimate import most_spent, prompt_tokens
from orchestrator.keys.key import Caller
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts
from orchestrator.protocol.chat import ChatRequest, ChunkBodies, completion_body
from orchestrator.protocol.errors import error_body, status_and_body
from orchestrator.protocol.models import addressee
from orchestrator.routing import falls_on
from orchestrator.why import route_record

log = logging.getLogger(__name__)
router = APIRouter()
direct = APIRouter(route_class=DirectRoute)
CLIENT_CLOSED_REQUEST = 499


@direct.post("/v1/chat/completions", response_model=None, responses=ASKING)
async def chat_completions(body: ChatRequest, request: Request, parts: ForChat) -> Response:
    """Answers a conversation with the coterie, one of its strategies, or one expert by name."""
    inquiry = to_inquiry(body, request, parts)
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


def to_inquiry(body: ChatRequest, request: Request, parts: Parts) -> Inquiry:
    """Reads ``model``: ``coterie``, ``coterie/STRATEGY``, or an expert's name.

    Raises :class:`ModelNotAllowed` where the caller's key may not use it.
    """
    caller = caller_of(request)
    parts.roster.check_chats(body.model)
    to = addressee(body.model, {e.name for e in parts.roster.enabled})
    if to.expert:
        caller.check_expert(to.expert)
    chosen = falls_on(parts.roster.snapshot.knowledge.choices)
    return Inquiry(
        id=request.state.request_id,
        model=body.model,
        question=body.question,
        sampling=body.sampling,
        strategy=to.strategy if to.expert else caller.strategy(to.strategy, chosen),
        expert=to.expert,
        stream=bool(body.stream),
        trace=body.wants_trace,
        key=caller.id,
        contents=caller.contents,
        experts=caller.experts,
    )


async def admitted(inquiry: Inquiry, caller: Caller, parts: Parts) -> Pass:
    """Leave for the inquiry; raises RateExceeded or QuotaExceeded where its key has used what it
    may."""
    question, sampling = inquiry.question, inquiry.sampling

    def most(tokens: int) -> Spent:
        if inquiry.expert:
            return most_spent(tokens, sampling, [parts.roster.expert(inquiry.expert)], 1)
        experts = [e for e in parts.roster.enabled if caller.may_ask(e.name)]
        return most_spent(tokens, sampling, experts, parts.coterie.services.policy.most)

    return await parts.meter.admit(
        inquiry.id, caller, lambda: prompt_tokens(question, sampling), most
    )


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
    answered = completion_body(
        f"chatcmpl-{inquiry.id}",
        int(time.time()),
        body.model,
        outcome.answer,
        outcome.usage,
        outcome.cost_usd,
    )
    experts = [c.expert for c in outcome.completions]
    headers = why_headers(outcome.route, experts, outcome.overhead_ms)
    return JSONResponse(answered, headers={**headers, **leave.headers})


def why_headers(route: Route, experts: list[str], overhead_ms: float) -> dict[str, str]:
    """Who was asked, by which strategy, and what deciding cost."""
    return {
        "x-coterie-experts": ",".join(experts),
        "x-coterie-strategy": route.strategy,
        "x-coterie-overhead-ms": f"{overhead_ms:.2f}",
    }


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
        self._with_usage = body.wants_usage
        self._bodies = ChunkBodies(
            f"chatcmpl-{inquiry.id}", int(time.time()), body.model, with_usage=body.wants_usage
        )
        self._every_s = parts.settings.stream_comment_s
        self._leave = leave
        self._story = Story(inquiry, parts.traces, leave, parts.roster.cost_usd)
        self._feed = parts.coterie.stream(inquiry)
        self._begun = False

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
            if self._with_usage:
                outcome = event.outcome
                yield _data(self._bodies.usage(outcome.usage, outcome.cost_usd))
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
        piece = self._bodies.piece(event.chunk) if isinstance(event, Delta) else None
        if piece is None:
            return []
        first = [] if self._begun else [self._bodies.delta({"role": "assistant", "content": ""})]
        self._begun = True
        return [_data(body) for body in (*first, piece)]


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def new_request_id() -> str:
    return uuid.uuid4().hex
