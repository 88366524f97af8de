"""A finished job as the run that reports read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from coterie.errors import ConfigurationError
from coterie.types import as_jsonable
from evals.results import ItemResult, RunInfo, RunResult
from orchestrator.jobs.job import Job, JobState


def run_result(job: Job, results: Sequence[ItemResult]) -> RunResult:
    """The run, with its items in the task's order."""
    spec, fixed, progress = job.spec, job.fixed or {}, job.progress
    info = RunInfo(
        id=job.id,
        task=spec.task,
        split=spec.split,
        strategy=spec.strategy,
        experts=tuple(fixed.get("pool", ())),
        seed=spec.seed,
        settings={
            "limit": spec.limit,
            "vote": spec.vote,
            "file": spec.file,
            "sampling": as_jsonable(spec.sampling),
            "policy": fixed.get("policy", {}),
            "snapshot": fixed.get("snapshot", ""),
        },
        versions=fixed.get("versions", {}),
        seconds=dict(progress.seconds) if progress else {},
        loads=dict(progress.loads) if progress else {},
        started=_iso(job.started_at),
        finished=_iso(job.finished_at) or None,
    )
    return RunResult(info, tuple(results))


def check_done(job: Job) -> None:
    """Raises :class:`ConfigurationError` for a job that cannot be reported on."""
    if job.state is not JobState.DONE:
        raise ConfigurationError(
            f"job {job.id!r} is {job.state}, and only one that is done can be reported: "
            f"`coterie jobs show {job.id}` tells how far it is"
        )


async def result_of(
    job: Job, results: Callable[[str, int], Awaitable[Mapping[int, ItemResult]]]
) -> RunResult:
    """The run, its items read a page at a time: ``results`` gives those after a position."""
    found: list[ItemResult] = []
    after = -1
    while page := await results(job.id, after):
        found += page.values()
        after = max(page)
    return run_result(job, found)


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
