"""``/v1/batches``: OpenAI's Batch API.  Needs the chat key where chat does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from coterie.errors import RequestError, UnknownBatch
from coterie.types import Usage
from orchestrator.api.deps import ForChat, ForReader, WhoCalls
from orchestrator.api.files import ExpiresAfter, own_file, page_body
from orchestrator.batches.batch import ENDPOINT, WINDOW, Batch, BatchState, Problem
from orchestrator.keys.key import Caller
from orchestrator.parts import Parts

router = APIRouter(prefix="/v1/batches")

Key = Annotated[str, Field(max_length=64)]
Value = Annotated[str, Field(max_length=512)]


class BatchRequest(BaseModel):
    """What to answer, and until when."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None


@router.post("")
async def create_batch(body: BatchRequest, parts: ForChat, who: WhoCalls) -> dict[str, Any]:
    """Takes a file of requests on; whether they are right is told by the batch."""
    if body.endpoint != ENDPOINT:
        raise RequestError(
            f"endpoint {body.endpoint!r} is not offered: batches are for {ENDPOINT!r}",
            param="endpoint",
        )
    ttl = body.output_expires_after.seconds if body.output_expires_after else None
    await own_file(body.input_file_id, who, parts)
    made = await parts.batches.create(body.input_file_id, body.metadata, ttl, who.id)
    return batch_body(made)


@router.get("")
async def list_batches(
    parts: ForReader,
    who: WhoCalls,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> dict[str, Any]:
    """The batches, newest first: those made before the one called ``after``, and the caller's own,
    unless its role sees all."""
    found = await parts.batches.list(limit + 1, after, who.sees)
    return page_body([batch_body(b) for b in found], limit)


@router.get("/{id}")
async def get_batch(id: str, parts: ForReader, who: WhoCalls) -> dict[str, Any]:
    return batch_body(await own_batch(id, who, parts))


@router.post("/{id}/cancel")
async def cancel_batch(id: str, parts: ForChat, who: WhoCalls) -> dict[str, Any]:
    """Stops the batch; what was answered by then is in its output file."""
    await own_batch(id, who, parts)
    batch = await parts.batches.cancel(id)
    await parts.audit.note(who, "batch.cancel", id)
    return batch_body(batch)


async def own_batch(id: str, who: Caller, parts: Parts) -> Batch:
    """The batch called ``id``; raises :class:`UnknownBatch` also where it is another caller's."""
    batch = await parts.batches.get(id)
    if not who.owns(batch.key):
        raise UnknownBatch(f"no batch {id!r} of this key's: GET /v1/batches lists those there are")
    return batch


def batch_body(batch: Batch) -> dict[str, Any]:
    """A batch in OpenAI's form."""
    counts = batch.counts
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": ENDPOINT,
        "errors": _errors(batch.problems),
        "input_file_id": batch.input_file,
        "completion_window": WINDOW,
        "status": str(batch.state),
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": int(batch.created_at.timestamp()),
        "expires_at": int(batch.expires_at.timestamp()),
        **{f"{s}_at": _seconds(batch, s) for s in BatchState if s is not BatchState.VALIDATING},
        "request_counts": {
            "total": counts.total,
            "completed": counts.completed,
            "failed": counts.failed,
        },
        "usage": _usage(batch.usage),
        "metadata": dict(batch.metadata),
    }


def _seconds(batch: Batch, state: BatchState) -> int | None:
    at = batch.times.get(state)
    return int(at.timestamp()) if at else None


def _errors(problems: tuple[Problem, ...]) -> dict[str, Any] | None:
    if not problems:
        return None
    data = [
        {"code": p.code, "line": p.line, "message": p.message, "param": p.param} for p in problems
    ]
    return {"object": "list", "data": data}


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
