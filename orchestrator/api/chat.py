"""``POST /v1/chat/completions``: plain and streamed; ``POST /v1/routes``: decide only."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.errors import CoterieError, UnknownModel
from coterie.types import Route
from orchestrator.api.deps import CallerGone, EventStream, ForChat, while_connected
from orchestrator.graph import decide, query_of
from orchestrator.inquiry import Delta, Event, Finished, Inquiry, Routed
from orchestrator.parts import Parts
from orchestrator.protocol.chat import ChatRequest, ChunkBodies, completion_body
from orchestrator.protocol.errors import error_body, status_and_body
from orchestrator.protocol.models import addressee
from orchestrator.why import failure_record, outcome_record, route_record

log = logging.getLogger(__name__)
router = APIRouter()
CLIENT_CLOSED_REQUEST = 499


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(body: ChatRequest, request: Request, parts: ForChat) -> Response:
    """Answers a conversation with the coterie, one of its strategies, or one expert by name."""
    inquiry = to_inquiry(body, request, parts)
    if body.stream:
        return await Conversation(parts, inquiry, body).respond(request)
    return await _whole(body, inquiry, request, parts)


@router.post("/v1/routes")
async def decide_only(body: ChatRequest, request: Request, parts: ForChat) -> dict[str, Any]:
    """The route the request would take; nobody is asked."""
    inquiry = to_inquiry(body, request, parts)
    services = parts.coterie.services
    _, route = await decide(inquiry, await query_of(inquiry, services), services)
    return route_record(inquiry, route)


@router.get("/v1/routes/{id}")
async def why(id: str, parts: ForChat) -> dict[str, Any]:
    """The why-record of an earlier request."""
    record = await parts.traces.get(id)
    if record is None:
        raise UnknownRoute(id)
    return dict(record)


class UnknownRoute(UnknownModel):
    """No why-record of that id is kept."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no route {id!r}: it never was, or is no longer kept", param="id")


def to_inquiry(body: ChatRequest, request: Request, parts: Parts) -> Inquiry:
    """Reads ``model``: ``coterie``, ``coterie/STRATEGY``, or an expert's name."""
    to = addressee(body.model, {e.name for e in parts.roster.enabled})
    return Inquiry(
        id=request.state.request_id,
        model=body.model,
        question=body.question,
        sampling=body.sampling,
        strategy=to.strategy,
        expert=to.expert,
        stream=bool(body.stream),
        trace=body.wants_trace,
    )


async def _whole(body: ChatRequest, inquiry: Inquiry, request: Request, parts: Parts) -> Response:
    try:
        outcome = await while_connected(request.receive, parts.coterie.run(inquiry))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except CoterieError as error:
        parts.traces.save(failure_record(inquiry, None, str(error)))
        raise
    parts.traces.save(outcome_record(outcome))
    answered = completion_body(
        f"chatcmpl-{inquiry.id}", int(time.time()), body.model, outcome.answer, outcome.usage
    )
    experts = [c.expert for c in outcome.completions]
    headers = why_headers(outcome.route, experts, outcome.overhead_ms)
    return JSONResponse(answered, headers=headers)


def why_headers(route: Route, experts: list[str], overhead_ms: float) -> dict[str, str]:
    """Who was asked, by which strategy, and what deciding cost."""
    return {
        "x-coterie-experts": ",".join(experts),
        "x-coterie-strategy": route.strategy,
        "x-coterie-overhead-ms": f"{overhead_ms:.2f}",
    }


class Conversation:
    """One streamed answer.

    The response begins with the first token, so that whatever fails before it has a status of its
    own; what fails after it ends the stream with an error event.
    """

    def __init__(self, parts: Parts, inquiry: Inquiry, body: ChatRequest) -> None:
        self._parts = parts
        self._inquiry = inquiry
        self._with_usage = body.wants_usage
        self._bodies = ChunkBodies(
            f"chatcmpl-{inquiry.id}", int(time.time()), body.model, with_usage=body.wants_usage
        )
        self._route: Route | None = None
        self._deciding_ms = 0.0

    async def respond(self, request: Request) -> Response:
        """The streaming response, once there is something to stream."""
        events = self._parts.coterie.stream(self._inquiry)
        try:
            first = await while_connected(request.receive, self._first(events))
        except CallerGone:
            await events.aclose()
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except CoterieError as error:
            self._parts.traces.save(failure_record(self._inquiry, self._route, str(error)))
            raise
        route = self._route
        assert route is not None  # Routed comes before any delta
        headers = why_headers(route, list(route.chosen), self._deciding_ms)
        return EventStream(self._lines(first, events), headers)

    async def _first(self, events: AsyncIterator[Event]) -> Event:
        async for event in events:
            if not isinstance(event, Routed):
                return event
            self._route, self._deciding_ms = event.route, event.overhead_ms
        raise AssertionError("a run ends with Finished")

    async def _lines(
        self, first: Event, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[str, None]:
        yield _data(self._bodies.delta({"role": "assistant", "content": ""}))
        try:
            async with aclosing(events):
                for line in self._line(first):
                    yield line
                async for event in events:
                    for line in self._line(event):
                        yield line
        except CoterieError as error:
            self._parts.traces.save(failure_record(self._inquiry, self._route, str(error)))
            yield _data(status_and_body(error)[1])
        except Exception:
            log.exception("internal error in stream %s", self._inquiry.id)
            yield _data(error_body("internal error", "api_error", None, "internal_error"))
        yield "data: [DONE]\n\n"

    def _line(self, event: Event) -> list[str]:
        if isinstance(event, Delta):
            piece = self._bodies.piece(event.chunk)
            return [_data(piece)] if piece else []
        if isinstance(event, Finished):
            self._parts.traces.save(outcome_record(event.outcome))
            return [_data(self._bodies.usage(event.outcome.usage))] if self._with_usage else []
        return []


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def new_request_id() -> str:
    return uuid.uuid4().hex
