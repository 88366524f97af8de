"""Evaluations: what runs and ran, starting one, and a page for each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from coterie.db import utcnow
from coterie.types import as_jsonable
from orchestrator.api.dashboard import job_form
from orchestrator.api.dashboard.guard import Runs, SeesRuns, Visit
from orchestrator.api.dashboard.job_access import job_of, jobs_of
from orchestrator.api.dashboard.job_view import JobLine, JobView
from orchestrator.api.dashboard.reports import MOST, comparison_of
from orchestrator.api.dashboard.reports import Runs as RunNames
from orchestrator.api.jobs import allowed
from orchestrator.jobs.job import Job

router = APIRouter()

PAGE = 50
PARKED = 50
OTHERS = 50
"""Jobs among which those are looked for that another can be compared with."""

Skip = Annotated[int, Query(ge=0)]


@router.get("/jobs")
async def list_jobs(visit: SeesRuns, skip: Skip = 0) -> Response:
    """The newest jobs."""
    found = await jobs_of(visit, PAGE + 1, skip)
    lines = [JobLine.of(job) for job in found[:PAGE]]
    more = skip + PAGE if len(found) > PAGE else None
    return visit.page("jobs.html", lines=lines, skip=skip, more=more, page=PAGE)


@router.get("/jobs/watch")
async def watch(
    visit: SeesRuns, ids: Annotated[list[str] | None, Query(alias="id", max_length=PAGE)] = None
) -> Response:
    """How the jobs of a list that were going are now; stops asking when none is."""
    lines = [JobLine.of(await job_of(visit, id)) for id in ids or ()]
    return visit.page("jobs_watch.html", lines=lines)


@router.get("/jobs/new")
async def new(visit: Runs, like: str = "") -> Response:
    """The form that starts one; ``like``: filled in as that job was."""
    parts = visit.parts
    form = job_form.JobForm.of(
        [e.name for e in parts.roster.enabled if visit.caller.may_ask(e.name)],
        sorted(parts.roster.snapshot.knowledge.fitted),
        parts.coterie.services.policy,
        (await job_of(visit, like)).spec if like else None,
    )
    return visit.page("job_new.html", form=form)


@router.post("/jobs")
async def create(visit: Runs) -> Response:
    """Queues a job, and goes to its page."""
    given = await visit.request.form()
    texts = {name: str(value) for name, value in given.items() if name != "experts"}
    spec = job_form.read(texts, [str(name) for name in given.getlist("experts")])
    spec = allowed(spec, visit.caller, visit.parts)
    job = await visit.parts.jobs.submit(spec, key=visit.caller.id)
    await visit.note("job.create", job.id, **as_jsonable(spec))
    return Response(status_code=204, headers={"HX-Redirect": f"/dashboard/jobs/{job.id}"})


@router.get("/jobs/compare")
async def compare(visit: SeesRuns, ids: RunNames) -> Response:
    """Two or more runs beside each other."""
    found = await comparison_of(visit, ids)
    return visit.page("jobs_compare.html", comparison=found, ids=list(dict.fromkeys(ids)))


@router.get("/jobs/{id}")
async def show(visit: SeesRuns, id: str) -> Response:
    """One job."""
    job = await job_of(visit, id)
    return visit.page("job.html", job=JobView.of(job, utcnow()), others=await _others(visit, job))


@router.get("/jobs/{id}/now")
async def now(visit: SeesRuns, id: str) -> Response:
    """How the job is now; asked for again until it is over."""
    return await _piece(visit, await job_of(visit, id))


@router.get("/jobs/{id}/parked")
async def parked(visit: SeesRuns, id: str, after: Annotated[int, Query(ge=-1)] = -1) -> Response:
    """Some of the items without an answer, and why."""
    job = await job_of(visit, id)
    found = await visit.parts.jobs.parked(job.id, after, PARKED + 1)
    shown = dict(list(found.items())[:PARKED])
    more = max(shown) if len(found) > PARKED else None
    return visit.page("job_parked.html", id=job.id, items=shown, more=more)


@router.post("/jobs/{id}/cancel")
async def cancel(visit: Runs, id: str) -> Response:
    """Stops the job; what was answered is kept."""
    job = await visit.parts.jobs.cancel((await job_of(visit, id)).id)
    await visit.note("job.cancel", job.id)
    return await _piece(visit, job)


@router.post("/jobs/{id}/resume")
async def resume(visit: Runs, id: str) -> Response:
    """Goes on with the job."""
    job = await visit.parts.jobs.resume((await job_of(visit, id)).id)
    await visit.note("job.resume", job.id)
    return await _piece(visit, job)


async def _piece(visit: Visit, job: Job) -> Response:
    view = JobView.of(job, utcnow())
    others = [] if view.line.going else await _others(visit, job)
    return visit.page("job_piece.html", job=view, others=others)


async def _others(visit: Visit, job: Job) -> list[JobLine]:
    """Runs that this one can be compared with, the newest first."""
    mine = JobLine.of(job)
    if not mine.comparable:
        return []
    lines = map(JobLine.of, await jobs_of(visit, OTHERS))
    same = (o for o in lines if (o.task, o.split) == (mine.task, mine.split))
    return [o for o in same if o.comparable and o.id != mine.id][: 10 * MOST]
