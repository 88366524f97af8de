"""A finished job as the run that reports read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coterie.types import as_jsonable
from evals.results import ItemResult, RunInfo, RunResult
from orchestrator.jobs.job import Job


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


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
