"""Whose jobs somebody is shown: their own, unless their role sees all."""

from __future__ import annotations

from orchestrator.api.dashboard.guard import Visit
from orchestrator.api.jobs import own_job
from orchestrator.jobs.job import Job


async def job_of(visit: Visit, id: str) -> Job:
    """The job called ``id``; raises :class:`UnknownJob` where there is none for them to see."""
    return await own_job(id, visit.caller, visit.parts)


async def jobs_of(visit: Visit, limit: int, skip: int = 0) -> list[Job]:
    """The newest jobs that they may see, without what was settled for each."""
    return await visit.parts.jobs.lines(limit, skip, visit.caller.sees)
