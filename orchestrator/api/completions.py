"""``POST /v1/completions``: bare prompts, each answered as a chat of one turn."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.types import Chunk
from orchestrator.api.choices import Choice, Choices, all_admitted, all_answered, numbered, spent
from orchestrator.api.deps import CLIENT_CLOSED_REQUEST, CallerGone, ForChat, while_connected
from orchestrator.api.inquiring import to_inquiry
from orchestrator.api.telling import outcome_headers
from orchestrator.inquiry import Outcome
from orchestrator.protocol.completions import CompletionBodies, CompletionsRequest, choice

router = APIRouter()


@router.post("/v1/completions", response_model=None)
async def create_completion(body: CompletionsRequest, request: Request, parts: ForChat) -> Response:
    """Answers each prompt ``n`` times; choices go to experts at the same time."""
    inquiries = numbered([to_inquiry(chat, request, parts) for chat in body.to_chats()])
    asked = await all_admitted(inquiries, request, parts)
    bodies = CompletionBodies(
        f"cmpl-{inquiries[0].id}", int(time.time()), body.model, with_usage=body.wants_usage
    )
    if body.stream:
        choices = [_choice(i, body.echoed(i), bodies) for i in range(len(asked))]
        last = partial(_last, bodies, with_usage=body.wants_usage)
        return await Choices(parts, asked, choices, last).respond(request)
    try:
        outcomes = await while_connected(request.receive, all_answered(parts, asked))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    whole = [
        choice(i, body.echoed(i) + o.answer.text, o.answer.finish_reason)
        for i, o in enumerate(outcomes)
    ]
    told = bodies.whole(whole, *spent(outcomes))
    return JSONResponse(told, headers=outcome_headers(outcomes[0], asked[-1][1]))


def _choice(index: int, echoed: str, bodies: CompletionBodies) -> Choice:
    def lines(chunk: Chunk) -> Sequence[str]:
        if not chunk.text and chunk.finish_reason is None:
            return []
        return [_data(bodies.piece(index, chunk.text, chunk.finish_reason))]

    return Choice(lines, _data, [_data(bodies.piece(index, echoed))] if echoed else ())


def _last(
    bodies: CompletionBodies, outcomes: Sequence[Outcome], *, with_usage: bool
) -> Sequence[str]:
    return [_data(bodies.whole([], *spent(outcomes)))] if with_usage else []


def _data(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
