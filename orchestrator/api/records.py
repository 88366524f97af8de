"""``/v1/routes`` as a collection: why-records are found, exported and erased, their answers judged,
and their requests routed by other means."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.chat import UnknownRoute
from orchestrator.api.deps import ForAdmin, ForChat, ForViewer, caller_of
from orchestrator.parts import Parts
from orchestrator.traces.facts import Outcome, Record
from orchestrator.traces.feedback import feedback_body
from orchestrator.traces.filters import AsExpert, Filters, Verdict
from orchestrator.traces.record_store import RecordStore
from orchestrator.traces.summary import summary
from orchestrator.what_if import Otherwise, changes, what_if

router = APIRouter()

EXPORTED_AT_ONCE = 200
"""Records that an export holds in memory."""
Name = Annotated[str, Query(max_length=200)]
Amount = Annotated[float, Query(ge=0, allow_inf_nan=False)]


def filters_of(
    since: datetime | None = None,
    until: datetime | None = None,
    strategy: Name | None = None,
    model: Name | None = None,
    outcome: Annotated[list[Outcome], Query()] = [],  # noqa: B006 - read by FastAPI, never changed
    expert: Name | None = None,
    as_expert: AsExpert = AsExpert.ASKED,
    skill: Name | None = None,
    key: Name | None = None,
    agreement_below: Annotated[float, Query(ge=0, le=1)] | None = None,
    cost_from: Amount | None = None,
    latency_from_ms: Amount | None = None,
    feedback: Literal["any", "good", "bad"] | None = None,
) -> Filters:
    """The filters in a query string; a time without a zone is in UTC."""
    return Filters(
        since=_aware(since),
        until=_aware(until),
        strategy=strategy,
        model=model,
        outcomes=tuple(outcome),
        expert=expert,
        as_expert=as_expert,
        skill=skill,
        key=key,
        agreement_below=agreement_below,
        cost_from=cost_from,
        latency_from_ms=latency_from_ms,
        feedback=tuple(Verdict) if feedback == "any" else (Verdict(feedback),) if feedback else (),
    )


Wanted = Annotated[Filters, Depends(filters_of)]


@router.get("/v1/routes")
async def list_routes(
    wanted: Wanted,
    parts: ForViewer,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int, Query(ge=0, lt=1 << 63)] | None = None,
    count: bool = False,
) -> dict[str, Any]:
    """Why-records in short, the newest first; ``cursor`` is the page before's ``next``."""
    page = await parts.records.page(wanted, limit=limit, cursor=cursor)
    found = await parts.records.count(wanted) if count else None
    return {
        "object": "list",
        "data": [summary(record) for record in page.records],
        "next": None if page.cursor is None else str(page.cursor),
        **({"count": found.number, "count_is_exact": found.exact} if found else {}),
    }


@router.get("/v1/routes/export")
async def export_routes(wanted: Wanted, parts: ForViewer) -> StreamingResponse:
    """Whole why-records, a line of JSON each, the newest first."""
    name = f"routes-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl"
    return StreamingResponse(
        lines(parts.records, wanted),
        media_type="application/jsonl",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def lines(records: RecordStore, wanted: Filters) -> AsyncGenerator[str, None]:
    """What is exported, page by page."""
    cursor: int | None = None
    while True:
        page = await records.page(wanted, limit=EXPORTED_AT_ONCE, cursor=cursor)
        if page.records:
            yield "".join(f"{json.dumps(r, ensure_ascii=False)}\n" for r in page.records)
        cursor = page.cursor
        if cursor is None:
            return


@router.delete("/v1/routes/{id}", status_code=204)
async def erase_route(id: str, request: Request, parts: ForAdmin) -> None:
    """Erases one request: its record, what was said of it, and what that graded."""
    if not await parts.erasure.request(id):
        raise UnknownRoute(id)
    await parts.audit.note(caller_of(request), "route.erase", id)


@router.delete("/v1/routes")
async def erase_routes(
    key: Annotated[str, Query(min_length=1, max_length=200)], request: Request, parts: ForAdmin
) -> dict[str, Any]:
    """Erases every request of the API key of id ``key``."""
    erased = await parts.erasure.of_key(key)
    await parts.audit.note(caller_of(request), "route.erase_all", key, {"requests": erased})
    return {"erased": erased}


# --- feedback, and other ways -------------------------------------------------------------------


class FeedbackRequest(BaseModel):
    """What is said of an answer; ``answer`` is the right one."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    answer: Annotated[str, Field(max_length=20_000)] | None = None
    note: Annotated[str, Field(max_length=2_000)] = ""


class WhatIfRequest(BaseModel):
    """What is different; whatever is left out is as it is now."""

    model_config = ConfigDict(extra="forbid")

    strategy: str | None = None
    snapshot: str | None = None
    confidence: Annotated[float, Field(ge=0.5, le=1)] | None = None
    max_experts: Annotated[int, Field(ge=1, le=100)] | None = None
    cost_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    latency_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    def to_domain(self) -> Otherwise:
        fields = self.model_dump(exclude={"max_experts"})
        return Otherwise(most=self.max_experts, **fields)


@router.post("/v1/routes/{id}/feedback")
async def give_feedback(
    id: str, body: FeedbackRequest, request: Request, parts: ForChat
) -> dict[str, Any]:
    """Keeps what is said of an answer: by whoever asked, or by an administrator."""
    record = await _own(id, request, parts)
    who = caller_of(request)
    given, graded = await parts.feedback.give(
        record, body.verdict, answer=body.answer or None, note=body.note, by=who.id
    )
    await parts.audit.note(who, "route.feedback", id, {"verdict": body.verdict})
    return {"id": id, "feedback": feedback_body(given), "graded": dict(graded)}


@router.delete("/v1/routes/{id}/feedback", status_code=204)
async def take_feedback_back(id: str, request: Request, parts: ForChat) -> None:
    """Forgets what was said of an answer, and what that graded."""
    await _own(id, request, parts)
    await parts.feedback.take_back([id])
    await parts.audit.note(caller_of(request), "route.feedback_taken_back", id)


@router.post("/v1/routes/{id}/what-if")
async def route_otherwise(id: str, body: WhatIfRequest, parts: ForViewer) -> dict[str, Any]:
    """The route that was taken, and the one that would be; nobody is asked."""
    record = await parts.traces.get(id)
    if record is None:
        raise UnknownRoute(id)
    now = await what_if(record, body.to_domain(), parts)
    before = {name: record.get(name) for name in now}
    return {"id": id, "before": before, "after": now, "changes": changes(before, now)}


async def _own(id: str, request: Request, parts: Parts) -> Record:
    """The record, where the caller may judge its answer."""
    record, who = await parts.traces.get(id), caller_of(request)
    key = str((record or {}).get("key", ""))
    if record is None or not who.owns(key):
        raise UnknownRoute(id)
    return record


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at
