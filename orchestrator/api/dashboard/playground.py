"""The playground: a conversation, and beside it how each answer comes about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from orchestrator.api.chat import Chunks
from orchestrator.api.dashboard.answers_view import answers_view
from orchestrator.api.dashboard.guard import Chats, Visit
from orchestrator.api.dashboard.route_view import route_view
from orchestrator.api.dashboard.timeline import timeline
from orchestrator.api.inquiring import admitted, to_inquiry
from orchestrator.api.story import Story
from orchestrator.api.telling import Telling
from orchestrator.protocol.chat import ChatRequest, StreamOptions
from orchestrator.protocol.models import AUTO
from orchestrator.routing import OFFERED

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Offer:
    """What the field ``model`` may name."""

    strategies: tuple[str, ...]
    experts: tuple[str, ...]

    def __contains__(self, model: object) -> bool:
        return model in self.strategies or model in self.experts


@router.get("/playground")
async def page(visit: Chats, model: str = AUTO, beside: str = "") -> Response:
    """Where one chats; ``model`` and ``beside`` are chosen at first."""
    offer = offer_of(visit)
    return visit.page(
        "playground.html",
        offer=offer,
        model=model if model in offer else AUTO,
        beside=beside if beside in offer else "",
    )


@router.post("/playground/ask")
async def ask(body: ChatRequest, visit: Chats, request: Request) -> Response:
    """One answer, streamed as ``/v1/chat/completions`` does, with two more kinds of events:
    ``route`` once it is decided, and ``answering`` whenever something happened; JSON strings of
    HTML."""
    request.state.caller = visit.caller
    wanted = {"stream": True, "stream_options": StreamOptions(include_usage=True), "n": None}
    streamed = body.model_copy(update=wanted)
    inquiry = to_inquiry(streamed, request, visit.parts)
    leave = await admitted(inquiry, visit.caller, visit.parts)
    chunks = Chunks(inquiry, streamed)
    told = Telling(visit.parts, inquiry, chunks, leave, Beside(visit))
    return await told.respond(request)


def offer_of(visit: Visit) -> Offer:
    """The models that whoever visits may ask."""
    caller = visit.caller
    strategies = (AUTO, *(f"{AUTO}/{name}" for name in OFFERED if caller.may_use(name)))
    enabled = (e.name for e in visit.parts.roster.enabled)
    return Offer(strategies, tuple(sorted(filter(caller.may_ask, enabled))))


@dataclass(slots=True)
class Beside:
    """Tells, beside the tokens, what has happened so far."""

    visit: Visit
    _told_route: bool = field(default=False, init=False)

    async def __call__(self, story: Story) -> Sequence[str]:
        record = story.record
        events = []
        route = route_view(record)
        if route and not self._told_route:
            self._told_route = True
            decided = story.routed.overhead_ms if story.routed else None
            events.append(self._event("route", route=route, decided_ms=decided))
        seen = answers_view(await self._with_alpha(record))
        line = timeline(record)
        events.append(self._event("answering", record=record, seen=seen, timeline=line))
        return events

    async def _with_alpha(self, record: Any) -> Any:
        """A traced answer's α are read as its record is kept."""
        if record["status"] == "running" or not record.get("traced"):
            return record
        kept = await self.visit.parts.traces.get(record["id"]) or {}
        return {**record, "alpha": kept.get("alpha")}

    def _event(self, name: str, **values: Any) -> str:
        made = self.visit.piece(f"{name}_piece.html", **values)
        return f"event: {name}\ndata: {json.dumps(made)}\n\n"
