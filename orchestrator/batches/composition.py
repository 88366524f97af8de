"""Puts files and batches of a process together from what the service is made of."""

from __future__ import annotations

from collections.abc import Mapping

from coterie.db import Database
from coterie.errors import JobError
from orchestrator.batches.clerk import Clerk
from orchestrator.batches.file_store import FileStore
from orchestrator.batches.request_task import NAME, RequestTask
from orchestrator.batches.service import BatchService
from orchestrator.batches.spool import Spool, TooManyLines
from orchestrator.batches.store import BatchStore
from orchestrator.jobs.composition import LoadTask
from orchestrator.jobs.job import JobSpec
from orchestrator.jobs.service import JobService
from orchestrator.keys.ring import KeyRing
from orchestrator.roster import Roster
from orchestrator.settings import Settings


def request_tasks(settings: Settings, database: Database) -> Mapping[str, LoadTask]:
    """The task whose items are the requests of a stored file, by its name."""
    files = FileStore(database)

    async def load(spec: JobSpec) -> RequestTask:
        try:
            return RequestTask(await Spool.of(files, spec.file or "", settings.spool_dir))
        except TooManyLines as error:
            raise JobError(error.problem.message) from None

    return {NAME: load}


def batch_service(
    settings: Settings, database: Database, jobs: JobService, roster: Roster, keys: KeyRing
) -> BatchService:
    """The batches, whose requests ``jobs`` answers."""
    clerk = Clerk(
        jobs.life.name,
        BatchStore(database),
        FileStore(database),
        jobs,
        lambda: [e.name for e in roster.enabled],
        settings.spool_dir,
        owner_of=keys.owner,
    )
    return BatchService(clerk)
