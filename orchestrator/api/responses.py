"""``POST /v1/responses``: OpenAI's Responses API, on the road of a chat, plain and streamed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.types import Chunk
from orchestrator.api.deps import (
    CLIENT_CLOSED_REQUEST,
    CallerGone,
    ForChat,
    caller_of,
    while_connected,
)
from orchestrator.api.inquiring import admitted, to_inquiry
from orchestrator.api.telling import Telling, answered, outcome_headers
from orchestrator.gathering import as_delta
from orchestrator.inquiry import Outcome
from orchestrator.protocol.response_events import Event, ResponseEvents, last_response
from orchestrator.protocol.responses import ResponsesRequest

router = APIRouter()


@router.post("/v1/responses", response_model=None)
async def create_response(body: ResponsesRequest, request: Request, parts: ForChat) -> Response:
    """Answers ``input`` with the coterie, one of its strategies, or one expert by name."""
    inquiry = to_inquiry(body.to_chat(), request, parts)
    leave = await admitted(inquiry, caller_of(request), parts)
    events = ResponseEvents(body, f"resp_{inquiry.id}", int(time.time()))
    if body.stream:
        return await Telling(parts, inquiry, TypedEvents(events), leave).respond(request)
    try:
        outcome = await while_connected(request.receive, answered(parts, inquiry, leave))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    answer = outcome.answer
    events.chunk(Chunk(answer.text, answer.finish_reason, delta=as_delta(answer.message)))
    told = last_response(events.end(outcome.usage, outcome.cost_usd))
    return JSONResponse(told, headers=outcome_headers(outcome, leave))


class TypedEvents:
    """The events as lines; OpenAI ends such a stream with its last event, not with ``[DONE]``."""

    def __init__(self, events: ResponseEvents) -> None:
        self._events = events

    def begin(self) -> Sequence[str]:
        return _lines(self._events.begin())

    def piece(self, chunk: Chunk) -> Sequence[str]:
        return _lines(self._events.chunk(chunk))

    def end(self, outcome: Outcome) -> Sequence[str]:
        return _lines(self._events.end(outcome.usage, outcome.cost_usd))

    def failed(self, body: Mapping[str, Any]) -> Sequence[str]:
        return _lines(self._events.failed(body["error"]))


def _lines(events: Sequence[Event]) -> list[str]:
    return [
        f"event: {event['type']}\n"
        f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n"
        for event in events
    ]
