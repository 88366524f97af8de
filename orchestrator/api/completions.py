"""``POST /v1/completions``: bare prompts, each answered as a chat of one turn."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from coterie.types import Chunk, Usage
from orchestrator.api.chat import CLIENT_CLOSED_REQUEST, admitted, to_inquiry
from orchestrator.api.deps import CallerGone, EventStream, ForChat, caller_of, while_connected
from orchestrator.api.telling import Telling, answered, outcome_headers
from orchestrator.inquiry import Event, Inquiry, Outcome
from orchestrator.keys.budget import NOTHING
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts
from orchestrator.protocol.completions import CompletionBodies, CompletionsRequest, choice

router = APIRouter()
Asked = list[tuple[Inquiry, Pass]]


@router.post("/v1/completions", response_model=None)
async def create_completion(body: CompletionsRequest, request: Request, parts: ForChat) -> Response:
    """Answers each prompt ``n`` times; choices go to experts at the same time."""
    first, *others = (to_inquiry(chat, request, parts) for chat in body.to_chats())
    # Each choice has its why-record: the request's id, then "ID-1" for the next choice.
    rest = [replace(one, id=f"{first.id}-{k}") for k, one in enumerate(others, 1)]
    asked = await _admitted([first, *rest], request, parts)
    bodies = CompletionBodies(
        f"cmpl-{first.id}", int(time.time()), body.model, with_usage=body.wants_usage
    )
    if body.stream:
        return await _Choices(parts, asked, body, bodies).respond(request)
    try:
        outcomes = await while_connected(request.receive, _all(parts, asked))
    except CallerGone:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    choices = [
        choice(i, body.echoed(i) + o.answer.text, o.answer.finish_reason)
        for i, o in enumerate(outcomes)
    ]
    usage = sum((o.usage for o in outcomes), Usage())
    told = bodies.whole(choices, usage, sum(o.cost_usd for o in outcomes))
    return JSONResponse(told, headers=outcome_headers(outcomes[0], asked[-1][1]))


async def _admitted(inquiries: Sequence[Inquiry], request: Request, parts: Parts) -> Asked:
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


async def _all(parts: Parts, asked: Asked) -> list[Outcome]:
    """Every outcome; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answered(parts, *one)) for one in asked]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


class _Choices:
    """The streamed choices, told one after another; all are written from the beginning."""

    def __init__(
        self, parts: Parts, asked: Asked, body: CompletionsRequest, bodies: CompletionBodies
    ) -> None:
        self._bodies = bodies
        self._with_usage = body.wants_usage
        self._tellers = [_Choice(i, body.echoed(i), bodies) for i in range(len(asked))]
        self._tellings = [
            Telling(parts, inquiry, teller, leave)
            for (inquiry, leave), teller in zip(asked, self._tellers, strict=True)
        ]

    async def respond(self, request: Request) -> Response:
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
        for teller, telling in zip(self._tellers, self._tellings, strict=True):
            async with aclosing(telling.lines(event)) as lines:
                async for line in lines:
                    yield line
            event = None
            if teller.broken:
                break
        outcomes = [teller.outcome for teller in self._tellers if teller.outcome]
        if self._with_usage and len(outcomes) == len(self._tellers):
            usage = sum((o.usage for o in outcomes), Usage())
            yield _data(self._bodies.whole([], usage, sum(o.cost_usd for o in outcomes)))
        yield "data: [DONE]\n\n"


class _Choice:
    """One choice as lines."""

    def __init__(self, index: int, echoed: str, bodies: CompletionBodies) -> None:
        self._index = index
        self._echoed = echoed
        self._bodies = bodies
        self.outcome: Outcome | None = None
        self.broken = False

    def begin(self) -> Sequence[str]:
        echoed = self._bodies.piece(self._index, self._echoed)
        return [_data(echoed)] if self._echoed else []

    def piece(self, chunk: Chunk) -> Sequence[str]:
        if not chunk.text and chunk.finish_reason is None:
            return []
        return [_data(self._bodies.piece(self._index, chunk.text, chunk.finish_reason))]

    def end(self, outcome: Outcome) -> Sequence[str]:
        self.outcome = outcome
        return []

    def failed(self, body: Mapping[str, Any]) -> Sequence[str]:
        self.broken = True
        return [_data(body)]


def _data(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
