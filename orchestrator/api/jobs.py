"""``/v1/jobs``: a task put to a strategy, watched on its way.  Needs a key of role jobs
or admin; a viewer's to look."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from coterie.errors import NoExpertAvailable, UnknownJob
from coterie.types import Sampling, as_jsonable
from evals.results import ItemResult
from orchestrator.api.deps import EventStream, ForJobReader, ForJobs, WhoCalls
from orchestrator.api.telling import DONE
from orchestrator.jobs.job import Job, JobSpec
from orchestrator.jobs.progress import JobProgress
from orchestrator.keys.key import Caller
from orchestrator.parts import Parts
from orchestrator.routing import falls_on

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
async def create_job(body: JobRequest, parts: ForJobs, who: WhoCalls) -> dict[str, Any]:
    """Queues a job; ``GET /v1/jobs/{id}`` tells how far it is."""
    job = await parts.jobs.submit(allowed(body.to_domain(), who, parts), key=who.id)
    await parts.audit.note(who, "job.create", job.id, as_jsonable(job.spec))
    return job_body(job)


@router.get("")
async def list_jobs(
    parts: ForJobReader, who: WhoCalls, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """The newest jobs, newest first: the caller's own, unless its role sees all."""
    found = await parts.jobs.list(limit, who.sees)
    return {"object": "list", "data": [job_body(job) for job in found]}


@router.get("/{id}")
async def get_job(id: str, parts: ForJobReader, who: WhoCalls) -> dict[str, Any]:
    return job_body(await own_job(id, who, parts))


@router.post("/{id}/cancel")
async def cancel_job(id: str, parts: ForJobs, who: WhoCalls) -> dict[str, Any]:
    """Stops the job; what was answered is kept."""
    await own_job(id, who, parts)
    job = await parts.jobs.cancel(id)
    await parts.audit.note(who, "job.cancel", id)
    return job_body(job)


@router.post("/{id}/resume")
async def resume_job(id: str, parts: ForJobs, who: WhoCalls) -> dict[str, Any]:
    """Goes on with a job that was cancelled or failed; parked items are tried again."""
    await own_job(id, who, parts)
    job = await parts.jobs.resume(id)
    await parts.audit.note(who, "job.resume", id)
    return job_body(job)


@router.get("/{id}/results", response_model=None)
async def job_results(
    id: str,
    parts: ForJobReader,
    who: WhoCalls,
    after: Annotated[int, Query(ge=-1, lt=1 << 31)] = -1,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    accept: Annotated[str, Header()] = "",
) -> Response | dict[str, Any]:
    """A page of results after position ``after``; all of them where NDJSON is accepted."""
    await own_job(id, who, parts)
    found = await parts.jobs.results(id, after, limit)
    if NDJSON in accept:
        return StreamingResponse(_lines(parts, id, after, found), media_type=NDJSON)
    data = [result_body(position, result) for position, result in found.items()]
    more = bool(found) and bool(await parts.jobs.results(id, max(found), 1))
    return {"object": "list", "data": data, "has_more": more}


@router.get("/{id}/events", response_model=None)
async def job_events(id: str, parts: ForJobReader, who: WhoCalls) -> Response:
    """Server-sent events: ``progress`` whenever there is some; the stream ends with the job."""
    await own_job(id, who, parts)
    return EventStream(_events(parts, id), {})


async def own_job(id: str, who: Caller, parts: Parts) -> Job:
    """The job called ``id``; raises :class:`UnknownJob` also where it is another caller's."""
    job = await parts.jobs.get(id)
    if not who.owns(job.key):
        raise UnknownJob(f"no job {id!r} of this key's: GET /v1/jobs lists those there are")
    return job


def allowed(spec: JobSpec, who: Caller, parts: Parts) -> JobSpec:
    """The spec as far as the caller may have it run; raises :class:`ModelNotAllowed`."""
    for name in (spec.expert,) if spec.expert else spec.experts:
        who.check_expert(name)
    if spec.expert:
        return spec
    strategy = who.strategy(spec.strategy, falls_on(parts.roster.snapshot.knowledge.choices))
    if not who.experts or spec.experts:
        return replace(spec, strategy=strategy)
    experts = tuple(e.name for e in parts.roster.enabled if who.may_ask(e.name))
    if not experts:
        raise NoExpertAvailable(
            f"none of the experts that this key may ask ({', '.join(who.experts)}) is enabled"
        )
    return replace(spec, strategy=strategy, experts=experts)


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
    yield DONE


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
