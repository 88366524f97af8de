"""``/v1/jobs``: a task put to a strategy, watched on its way.  Needs a key of role jobs
or admin; a viewer's to look."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from coterie.types import Sampling, as_jsonable
from evals.results import ItemResult
from orchestrator.api.deps import EventStream, ForJobReader, ForJobs
from orchestrator.jobs.job import Job, JobSpec
from orchestrator.jobs.progress import JobProgress
from orchestrator.parts import Parts

router = APIRouter(prefix="/v1/jobs")

NDJSON = "application/x-ndjson"
PAGE = 500


class JobRequest(BaseModel):
    """What to run; see :class:`orchestrator.jobs.job.JobSpec`."""

    model_config = ConfigDict(extra="forbid")

    task: Annotated[str, Field(min_length=1)]
    strategy: str = "auto"
    split: str = "test"
    experts: list[str] = Field(default_factory=list)
    limit: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    vote: str | None = None
    file: str | None = None
    policy: dict[str, float | int | None] = Field(default_factory=dict)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None

    def to_domain(self) -> JobSpec:
        return JobSpec(
            self.task,
            self.strategy,
            self.split,
            tuple(self.experts),
            self.limit,
            self.seed,
            self.vote,
            self.file,
            Sampling(self.temperature, self.top_p, self.max_tokens),
            dict(self.policy),
        )


@router.post("", status_code=202)
async def create_job(body: JobRequest, parts: ForJobs) -> dict[str, Any]:
    """Queues a job; ``GET /v1/jobs/{id}`` tells how far it is."""
    return job_body(await parts.jobs.submit(body.to_domain()))


@router.get("")
async def list_jobs(
    parts: ForJobReader, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """The newest jobs, newest first."""
    return {"object": "list", "data": [job_body(job) for job in await parts.jobs.list(limit)]}


@router.get("/{id}")
async def get_job(id: str, parts: ForJobReader) -> dict[str, Any]:
    return job_body(await parts.jobs.get(id))


@router.post("/{id}/cancel")
async def cancel_job(id: str, parts: ForJobs) -> dict[str, Any]:
    """Stops the job; what was answered is kept."""
    return job_body(await parts.jobs.cancel(id))


@router.post("/{id}/resume")
async def resume_job(id: str, parts: ForJobs) -> dict[str, Any]:
    """Goes on with a job that was cancelled or failed; parked items are tried again."""
    return job_body(await parts.jobs.resume(id))


@router.get("/{id}/results", response_model=None)
async def job_results(
    id: str,
    parts: ForJobReader,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    accept: Annotated[str, Header()] = "",
) -> Response | dict[str, Any]:
    """A page of results after position ``after``; all of them where NDJSON is accepted."""
    found = await parts.jobs.results(id, after, limit)
    if NDJSON in accept:
        return StreamingResponse(_lines(parts, id, after, found), media_type=NDJSON)
    data = [result_body(position, result) for position, result in found.items()]
    more = bool(found) and bool(await parts.jobs.results(id, max(found), 1))
    return {"object": "list", "data": data, "has_more": more}


@router.get("/{id}/events", response_model=None)
async def job_events(id: str, parts: ForJobReader) -> Response:
    """Server-sent events: ``progress`` whenever there is some; the stream ends with the job."""
    await parts.jobs.get(id)
    return EventStream(_events(parts, id), {})


async def _lines(
    parts: Parts, id: str, after: int, found: dict[int, ItemResult]
) -> AsyncGenerator[str, None]:
    while found:
        for position, result in found.items():
            yield json.dumps(result_body(position, result), ensure_ascii=False) + "\n"
            after = position
        found = await parts.jobs.results(id, after, PAGE)


async def _events(parts: Parts, id: str) -> AsyncGenerator[str, None]:
    last: JobProgress | None = None
    async with aclosing(parts.jobs.watch(id)) as found:
        async for progress in found:
            if progress == last:
                yield ": nothing new\n\n"  # or a proxy between would take the stream for dead
                continue
            last = progress
            yield f"event: progress\ndata: {json.dumps(as_jsonable(progress))}\n\n"
    yield "data: [DONE]\n\n"


def job_body(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return {
        "id": job.id,
        "object": "job",
        "state": str(job.state),
        "error": job.error,
        "spec": as_jsonable(job.spec),
        "snapshot": (job.fixed or {}).get("snapshot"),
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "progress": as_jsonable(job.progress),
    }


def result_body(position: int, result: ItemResult) -> dict[str, Any]:
    """An item's result as JSON, with its position in the task."""
    return {"position": position, **as_jsonable(result)}
