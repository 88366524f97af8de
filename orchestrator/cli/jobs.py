"""`coterie jobs`: what runs, and how far it is.  Reads the database: no server is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from coterie.types import as_jsonable
from orchestrator.cli import show, show_jobs
from orchestrator.cli.options import AsJson, the_database
from orchestrator.cli.runs import report

jobs_app = typer.Typer(no_args_is_help=True, help="Tasks that run, and those that ran.")

T = TypeVar("T")
Id = Annotated[str, typer.Argument(help="The job; `coterie jobs list` shows them.")]


@jobs_app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest jobs."""
    found = _with(lambda jobs: jobs.newest(limit))
    if as_json:
        show.as_json([as_record(job) for job in found])
    else:
        show_jobs.jobs(found)


@jobs_app.command("show")
def show_job(id: Id, as_json: AsJson = False) -> None:
    """How far a job is: by stage and by expert."""
    job = _with(lambda jobs: jobs.get(id))
    if as_json:
        show.as_json(as_record(job))
    else:
        show_jobs.job(job)


@jobs_app.command("cancel")
def cancel(id: Id) -> None:
    """Stop a job; what was answered is kept."""
    job = _with(lambda jobs: jobs.cancel(id), "job.cancel", id)
    show.console.print(f"job {job.id} is {job.state}", markup=False)


@jobs_app.command("resume")
def resume(id: Id) -> None:
    """Queue a job that was cancelled or failed, or that has parked items; a server runs it."""
    job = _with(lambda jobs: jobs.resume(id), "job.resume", id)
    show.console.print(
        f"job {job.id} is {job.state}: a server with this database goes on with it, or "
        "`coterie eval run` with the same options does",
        markup=False,
        soft_wrap=True,
    )


jobs_app.command("report")(report)


def as_record(job: Any) -> dict[str, Any]:
    """A job as JSON."""
    body: dict[str, Any] = as_jsonable(job)
    times = ("created_at", "started_at", "finished_at", "retry_before")
    return {**body, **{t: body[t].isoformat() if body[t] else None for t in times}}


def _with(call: Callable[[Any], Awaitable[T]], action: str = "", target: str = "") -> T:
    """What ``call`` makes of the jobs; an ``action`` is noted in the audit log."""

    async def run() -> T:
        from orchestrator.jobs.store import JobStore
        from orchestrator.keys.audit import AuditLog
        from orchestrator.keys.audit_store import AuditStore
        from orchestrator.keys.key import OPERATOR

        async with the_database() as database:
            done = await call(JobStore(database))
            if action:
                await AuditLog(AuditStore(database)).note(OPERATOR, action, target)
            return done

    return asyncio.run(run())
