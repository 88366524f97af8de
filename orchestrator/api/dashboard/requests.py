"""Requests: every why-record, found, looked into, judged, routed otherwise and erased."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError

from orchestrator.api import records as service
from orchestrator.api.chat import UnknownRoute
from orchestrator.api.dashboard.answers_view import answers_view
from orchestrator.api.dashboard.around import skills_of
from orchestrator.api.dashboard.guard import Chats, Manages, Sees, Visit
from orchestrator.api.dashboard.heat import sums_of
from orchestrator.api.dashboard.route_view import Record, route_view
from orchestrator.api.dashboard.timeline import timeline
from orchestrator.protocol.models import AUTO
from orchestrator.routing import OFFERED
from orchestrator.traces.facts import Outcome
from orchestrator.traces.feedback import feedback_body
from orchestrator.traces.feedback_store import FeedbackStore
from orchestrator.traces.filters import AsExpert, Filters, Verdict
from orchestrator.traces.summary import summary

router = APIRouter()

SHOWN = 50
SUGGESTED = 20
"""Skills that are offered while one is written."""
Cursor = Annotated[int, Query(ge=0, lt=1 << 63)]


Name = Annotated[str, Field(max_length=200)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Asked(BaseModel):
    """The form of filters; a field that was left empty filters nothing."""

    since: datetime | None = None
    until: datetime | None = None
    strategy: Name | None = None
    model: Name | None = None
    outcome: Outcome | None = None
    expert: Name | None = None
    as_expert: AsExpert = AsExpert.ASKED
    skill: Name | None = None
    key: Name | None = None
    agreement_below: Annotated[float, Field(ge=0, le=1)] | None = None
    cost_from: Amount | None = None
    latency_from_ms: Amount | None = None
    feedback: Literal["any", "good", "bad"] | None = None

    def filters(self) -> Filters:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        outcome = fields.pop("outcome")
        return service.filters_of(**fields, outcome=[outcome] if outcome else [])

    @property
    def query(self) -> str:
        """The form as a query string."""
        return urlencode(self.model_dump(mode="json", exclude_none=True))


def asked_of(request: Request) -> Asked:
    """Reads the form."""
    try:
        return Asked.model_validate({k: v for k, v in request.query_params.items() if v})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


Wanted = Annotated[Asked, Depends(asked_of)]


@router.get("/requests")
async def page(visit: Sees, asked: Wanted, cursor: Cursor | None = None) -> Response:
    """The newest that pass."""
    filters = asked.filters()
    found = await visit.parts.records.page(filters, limit=SHOWN, cursor=cursor)
    return visit.page(
        "requests.html",
        asked=asked,
        rows=[summary(record) for record in found.records],
        next=found.cursor,
        cursor=cursor,
        count=await visit.parts.records.count(filters),
        strategies=OFFERED,
        outcomes=[o.value for o in Outcome],
        experts=(experts := sorted(visit.parts.roster.snapshot.experts)),
        models=[*(f"{AUTO}/{s}" for s in OFFERED), *experts],
        keys=[(key.id, key.name) for key in visit.parts.keys.list()],
    )


@router.get("/requests/skills")
async def skills(visit: Sees, skill: str = "") -> Response:
    """Skills whose names hold what is written so far."""
    known = await asyncio.to_thread(sums_of, *skills_of(visit))
    fitting = (name for name in known.names if skill.casefold() in name.casefold())
    return visit.page("options_piece.html", options=islice(fitting, SUGGESTED))


@router.get("/requests/export")
async def export(visit: Sees, asked: Wanted) -> StreamingResponse:
    """All that pass, a line of JSON each."""
    return await service.export_routes(asked.filters(), visit.parts)


@router.get("/requests/{id}")
async def request(visit: Sees, id: str) -> Response:
    """One request, whole."""
    record = await _record(visit, id)
    return visit.page(
        "request.html",
        record=record,
        route=route_view(record),
        decided_ms=_decided_ms(record),
        seen=answers_view(record),
        timeline=timeline(record),
        feedback=await _feedback(visit, id),
        strategies=OFFERED,
        snapshots=[s.name for s in await visit.parts.archive.snapshots.list()],
    )


@router.post("/requests/{id}/feedback")
async def feedback(
    visit: Chats,
    id: str,
    verdict: Annotated[Verdict, Form()],
    answer: Annotated[str, Form(max_length=20_000)] = "",
    note: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Keeps what is said of the answer, and grades the experts' by it."""
    visit.request.state.caller = visit.caller
    body = service.FeedbackRequest(verdict=verdict, answer=answer.strip() or None, note=note)
    told = await service.give_feedback(id, body, visit.request, visit.parts)
    return visit.page(
        "feedback_piece.html", id=id, feedback=told["feedback"], graded=told["graded"]
    )


@router.post("/requests/{id}/feedback/remove")
async def take_back(visit: Chats, id: str) -> Response:
    """Forgets what was said, and what that graded."""
    visit.request.state.caller = visit.caller
    await service.take_feedback_back(id, visit.request, visit.parts)
    return visit.page("feedback_piece.html", id=id, feedback=None, graded={})


@router.post("/requests/{id}/what-if")
async def what_if(
    visit: Sees,
    id: str,
    strategy: Annotated[str, Form(max_length=200)] = "",
    snapshot: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """The route of then, and the one by other means; nobody is asked."""
    body = service.WhatIfRequest(strategy=strategy or None, snapshot=snapshot or None)
    told = await service.route_otherwise(id, body, visit.parts)
    before = await _record(visit, id)
    return visit.page(
        "what_if_piece.html",
        before=route_view(before),
        after=route_view(told["after"]),
        changes=told["changes"],
    )


@router.post("/requests/{id}/delete")
async def delete(visit: Manages, id: str) -> Response:
    """Erases the request for good."""
    visit.request.state.caller = visit.caller
    await service.erase_route(id, visit.request, visit.parts)
    return Response(status_code=204, headers={"HX-Redirect": "/dashboard/requests"})


async def _record(visit: Visit, id: str) -> Record:
    record = await visit.parts.traces.get(id)
    if record is None:
        raise UnknownRoute(id)
    return record


async def _feedback(visit: Visit, id: str) -> dict[str, Any] | None:
    found = (await FeedbackStore(visit.parts.database).of([id])).get(id)
    return feedback_body(found) if found else None


def _decided_ms(record: Record) -> float | None:
    steps = record.get("steps_ms") or {}
    return sum(steps.get(name, 0.0) for name in ("infer", "route")) if steps else None
