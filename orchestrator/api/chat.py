"""``POST /v1/chat/completions``: plain and streamed; ``POST /v1/routes``: decide only."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.errors import UnknownModel
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
    ForChat,
    ForReader,
    caller_of,
    while_connected,
)
from orchestrator.api.described import ASKING
from orchestrator.api.direct import DirectRoute
from orchestrator.api.inquiring import admitted, to_inquiry
from orchestrator.api.telling import DONE, Telling, answered, outcome_headers
from orchestrator.graph import decide, query_of
from orchestrator.inquiry import Inquiry, Outcome
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts
from orchestrator.protocol.chat import ChatRequest, ChunkBodies, completion_body
from orchestrator.why import explanation, route_record

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
        return await Telling(parts, inquiry, Chunks(inquiry, body), leave).respond(request)
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
    try:
        outcome = await while_connected(request.receive, answered(parts, inquiry, leave))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
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


class Chunks:
    """Words an answer as chat chunks."""

    def __init__(self, inquiry: Inquiry, body: ChatRequest) -> None:
        self._body = body
        self._bodies = ChunkBodies(
            f"chatcmpl-{inquiry.id}", int(time.time()), body.model, with_usage=body.wants_usage
        )

    def begin(self) -> Sequence[str]:
        return ()

    def piece(self, chunk: Chunk) -> Sequence[str]:
        return _pieces(self._bodies, chunk)

    def end(self, outcome: Outcome) -> Sequence[str]:
        return [*_last(self._body, self._bodies, [outcome]), DONE]

    def failed(self, body: Mapping[str, Any]) -> Sequence[str]:
        return [_data(body), DONE]


def _data(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def new_request_id() -> str:
    return uuid.uuid4().hex
