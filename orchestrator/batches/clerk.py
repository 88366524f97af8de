"""Takes every batch through its life, step by step; whatever cuts a step short, it is taken again.

A batch's state is in the database, its requests are a job's; what is to be done next follows from
both (:func:`orchestrator.batches.batch.next_step`).  One process works on a batch at a time, and
were it two, the first to end it is the one who did.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from coterie.db import utcnow
from coterie.errors import CoterieError, JobError, StoreUnavailable, UnknownFile, UnknownJob
from coterie.types import Sampling
from orchestrator.batches.assembly import Assembly
from orchestrator.batches.batch import (
    Batch,
    BatchState,
    Counts,
    Problem,
    Step,
    ending,
    left_over,
    next_step,
    problem_of,
)
from orchestrator.batches.file_store import FileStore
from orchestrator.batches.request_task import NAME
from orchestrator.batches.spool import Spool, TooManyLines
from orchestrator.batches.store import BatchStore
from orchestrator.batches.validate import Findings, validate
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.service import JobService
from orchestrator.keys.key import ANYONE, Caller
from orchestrator.protocol.errors import status_and_body

log = logging.getLogger(__name__)

LETTING_GO = timedelta(seconds=30)
"""How long whoever ran a job that was cancelled is waited for."""


async def _anyone(key: str) -> Caller:
    return ANYONE


class Lost(Exception):
    """Somebody else works on the batch now."""


@dataclass(frozen=True, slots=True)
class Clerk:
    """``experts`` gives the names of the enabled ones; input files are read from ``folder``;
    ``owner_of`` gives whoever a batch belongs to, by the id of its key."""

    owner: str
    batches: BatchStore
    files: FileStore
    jobs: JobService
    experts: Callable[[], Collection[str]]
    folder: Path
    now: Callable[[], datetime] = utcnow
    owner_of: Callable[[str], Awaitable[Caller]] = _anyone

    async def round(self) -> None:
        """Takes each batch as far as it goes now; raises StoreUnavailable."""
        for batch, owner in await self.batches.going():
            job = await self._job(batch)
            step = next_step(batch, job, self.now())
            if step is Step.STOP and job is not None:
                with suppress(JobError):  # it ended meanwhile
                    await self.jobs.cancel(job.id)
            elif step in (Step.VALIDATE, Step.FINISH):
                await self._work(batch, job, step, owner)

    async def _work(self, batch: Batch, job: Job | None, step: Step, owner: str | None) -> None:
        gone = owner if owner and self.jobs.life.is_over(owner) else None
        if not await self.batches.take(batch.id, self.owner, instead_of=gone):
            return
        try:
            if step is Step.VALIDATE:
                await self._validate(batch)
            else:
                await self._finish(batch, job)
        except StoreUnavailable:
            raise
        except Lost:
            log.warning("batch %s is worked on by another process", batch.id)
        except CoterieError as error:
            told = status_and_body(error)[1]["error"]
            await self._fail(batch, Problem(told["code"] or "refused", str(error)))
        except Exception as error:  # it would be tried, and fail, for ever
            # Without the message: it might quote what a caller wrote.
            log.error("batch %s failed: %s", batch.id, type(error).__name__)
            await self._fail(batch, Problem("internal_error", "internal error: see the log"))
        finally:
            with suppress(StoreUnavailable):
                await self.batches.give_up(batch.id, self.owner)

    async def _validate(self, batch: Batch) -> None:
        who = await self.owner_of(batch.key)
        found, total = await self._look_through(batch, who)
        if found.problems:
            await self._fail(batch, *found.problems)
            return
        asked = tuple(sorted(found.experts))
        if found.routed:  # among all, or those that the key may ask
            asked = tuple(e for e in self.experts() if who.experts and who.may_ask(e))
        spec = JobSpec(
            NAME, experts=asked, seed=batch.seed, file=batch.input_file, sampling=Sampling()
        )
        await self.jobs.submit(spec, id=batch.job, key=batch.key)
        validated = (BatchState.VALIDATING,)
        counts = Counts(total)
        await self.batches.move(
            batch.id, validated, BatchState.IN_PROGRESS, self.now(), counts=counts
        )

    async def _look_through(self, batch: Batch, who: Caller) -> tuple[Findings, int]:
        """What the file asks for, and how many requests are in it."""
        try:
            spool = await self._spool(batch)
        except UnknownFile as error:
            return Findings([Problem("file_not_found", str(error), "input_file_id")]), 0
        except TooManyLines as error:
            return Findings([error.problem]), 0
        found = await validate(spool, self.experts(), partial(self._keep, batch), who)
        return found, len(spool)

    async def _finish(self, batch: Batch, job: Job | None) -> None:
        end = ending(batch, job, self.now())
        why = (problem_of(job),) if end is BatchState.FAILED else ()
        if job is None:
            await self.batches.end(replace(batch, problems=why), end, self.now(), {})
            return
        if self._still_runs(job):
            return
        if batch.state is BatchState.IN_PROGRESS:
            before = (BatchState.IN_PROGRESS,)
            if not await self.batches.move(batch.id, before, BatchState.FINALIZING, self.now()):
                return  # it is being cancelled
        await self._assemble(replace(batch, problems=why), job, end)

    async def _assemble(self, batch: Batch, job: Job, end: BatchState) -> None:
        if job.state is not JobState.DONE:
            await self._wind_up(job)
        left = left_over(end, job)
        assembly = Assembly(
            batch, await self._spool(batch), self.jobs, self.files, left, self.now()
        )
        try:
            done = await assembly.run(partial(self._keep, batch))
            ended = await self.batches.end(done, end, self.now(), assembly.sizes)
        except Exception:
            await assembly.discard()
            raise
        if not ended:
            await assembly.discard()

    async def _wind_up(self, job: Job) -> None:
        """What was answered before the job stopped was paid for: it belongs into the output."""
        try:
            await self.jobs.wind_up(job.id)
        except StoreUnavailable:
            raise
        except CoterieError as error:
            log.warning("job %s is not wound up: %s", job.id, error)

    async def _fail(self, batch: Batch, *problems: Problem) -> None:
        failed = replace(batch, problems=problems)
        await self.batches.end(failed, BatchState.FAILED, self.now(), {})

    async def _spool(self, batch: Batch) -> Spool:
        return await Spool.of(self.files, batch.input_file, self.folder)

    async def _job(self, batch: Batch) -> Job | None:
        try:
            return await self.jobs.get(batch.job)
        except UnknownJob:
            return None

    def _still_runs(self, job: Job) -> bool:
        """Whether somebody may still bring answers to a job that is over."""
        if job.owner is None or job.finished_at is None or self.jobs.life.is_over(job.owner):
            return False
        return self.now() - job.finished_at < LETTING_GO

    async def _keep(self, batch: Batch) -> None:
        """Says that the batch is worked on; raises :class:`Lost`."""
        if not await self.batches.take(batch.id, self.owner):
            raise Lost(batch.id)
