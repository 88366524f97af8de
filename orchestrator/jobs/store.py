"""Keeps jobs, and who runs each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.orm import defer

from coterie.db import Database, insert_new, utcnow
from coterie.errors import UnknownJob
from coterie.outage import reaching
from coterie.types import as_jsonable
from orchestrator.jobs.item_store import PARKED, ROUTED
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.tables import JobItemRow, JobRow

LEASE = timedelta(seconds=30)
"""How long whoever runs a job may be silent before another takes it over."""

_ITEMS: Any = JobItemRow.__table__


class JobStore:
    """The jobs.  Everything here may be done twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @reaching
    async def add(self, job: Job) -> None:
        """Keeps a new job; its owner, where it has one, runs it from now on."""
        row = {
            "id": job.id,
            "fingerprint": job.spec.fingerprint,
            "spec": as_jsonable(job.spec),
            "state": str(job.state),
            "owner": job.owner,
            "beat_at": utcnow() if job.owner else None,
            "created_at": job.created_at,
            "retry_before": job.retry_before,
            "key": job.key,
        }
        async with self._database.transaction() as session:
            await insert_new(session, JobRow, [row])

    @reaching
    async def get(self, id: str) -> Job:
        """The job called ``id``; raises :class:`UnknownJob`."""
        async with self._database.read() as session:
            row = await session.get(JobRow, id)
        if row is None:
            raise UnknownJob(f"no job {id!r}: `coterie jobs list` shows those there are")
        return _job(row)

    @reaching
    async def newest(self, limit: int = 100, keys: Collection[str] | None = None) -> list[Job]:
        """The newest ``limit`` jobs, newest first; those made with one of ``keys`` alone."""
        query = select(JobRow).order_by(JobRow.created_at.desc(), JobRow.id).limit(limit)
        if keys is not None:
            query = query.where(JobRow.key.in_(list(keys)))
        async with self._database.read() as session:
            return [_job(row) for row in await session.scalars(query)]

    @reaching
    async def lines(
        self, limit: int, skip: int = 0, keys: Collection[str] | None = None
    ) -> list[Job]:
        """As :meth:`newest`, but for the first ``skip``, and without what was settled for each: a
        list of many would be all experts, many times over."""
        newest_first = JobRow.created_at.desc(), JobRow.id
        query = select(JobRow).order_by(*newest_first).offset(skip).limit(limit)
        query = query.options(defer(JobRow.fixed, raiseload=True))
        if keys is not None:
            query = query.where(JobRow.key.in_(list(keys)))
        async with self._database.read() as session:
            return [_job(row, settled=False) for row in await session.scalars(query)]

    @reaching
    async def unfinished(self, spec: JobSpec) -> Job | None:
        """The newest job of an equal spec that is not done."""
        query = (
            select(JobRow)
            .where(JobRow.fingerprint == spec.fingerprint, JobRow.state != JobState.DONE)
            .order_by(JobRow.created_at.desc())
        )
        async with self._database.read() as session:
            row = await session.scalar(query.limit(1))
        return _job(row) if row else None

    @reaching
    async def next(self, without: Collection[str] = ()) -> Job | None:
        """The oldest job that waits for somebody to run it, or whose owner is silent; none of those
        called ``without``."""
        waiting = JobRow.state.in_([JobState.QUEUED, JobState.RUNNING])
        query = select(JobRow).where(waiting, _free(), JobRow.id.not_in(list(without)))
        query = query.order_by(JobRow.created_at, JobRow.id)
        async with self._database.read() as session:
            row = await session.scalar(query.limit(1))
        return _job(row) if row else None

    @reaching
    async def take(self, id: str, owner: str, *, instead_of: str | None = None) -> bool:
        """Makes ``owner`` the one that runs the job, unless somebody does; true if it is.

        ``instead_of`` is an owner known to be gone.
        """
        free = or_(_free(), JobRow.owner == owner, JobRow.owner == instead_of)
        statement = (
            update(JobRow)
            .where(JobRow.id == id, free, JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]))
            .values(
                owner=owner,
                beat_at=utcnow(),
                state=str(JobState.RUNNING),
                started_at=func.coalesce(JobRow.started_at, utcnow()),
            )
            .returning(JobRow.id)
        )
        async with self._database.transaction() as session:
            return (await session.execute(statement)).first() is not None

    @reaching
    async def going(self) -> list[Job]:
        """The jobs that somebody runs, or did."""
        query = select(JobRow).where(JobRow.state == JobState.RUNNING, JobRow.owner.is_not(None))
        async with self._database.read() as session:
            return [_job(row) for row in await session.scalars(query)]

    @reaching
    async def give_up(self, id: str, owner: str) -> None:
        """The owner no longer runs the job, which is to be gone on with."""
        mine = and_(JobRow.id == id, JobRow.owner == owner)
        async with self._database.transaction() as session:
            await session.execute(update(JobRow).where(mine).values(owner=None, beat_at=None))

    @reaching
    async def settle(self, id: str, fixed: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keeps what is fixed for the job, unless something is; returns what is kept."""
        first = update(JobRow).where(JobRow.id == id, JobRow.fixed.is_(None))
        async with self._database.transaction() as session:
            await session.execute(first.values(fixed=dict(fixed)))
        return (await self.get(id)).fixed or {}

    @reaching
    async def beat(self, id: str, owner: str, progress: JobProgress) -> JobState:
        """The owner is alive and this far; returns the state the job is in now."""
        statement = (
            update(JobRow)
            .where(JobRow.id == id, JobRow.owner == owner)
            .values(beat_at=utcnow(), progress=as_jsonable(progress))
            .returning(JobRow.state)
        )
        async with self._database.transaction() as session:
            row = (await session.execute(statement)).first()
        return JobState(row[0]) if row else JobState.CANCELLED

    @reaching
    async def release(
        self, id: str, owner: str, state: JobState, progress: JobProgress, error: str | None = None
    ) -> None:
        """The owner runs it no longer; a job that was cancelled meanwhile stays so."""
        ended = {"finished_at": utcnow()} if state.is_over else {}
        async with self._database.transaction() as session:
            mine = and_(JobRow.id == id, JobRow.owner == owner)
            running = and_(mine, JobRow.state == JobState.RUNNING)
            told: Any = as_jsonable(replace(progress, state=str(state), error=error))
            values: dict[str, Any] = {"state": str(state), "error": error, "progress": told}
            await session.execute(update(JobRow).where(running).values(**values, **ended))
            await session.execute(update(JobRow).where(mine).values(owner=None, beat_at=None))

    @reaching
    async def cancel(self, id: str) -> Job:
        """Nobody is to go on with the job; what is stored of it stays.

        Raises :class:`JobError` for one that is over.
        """
        (await self.get(id)).check_cancel()
        going = JobRow.state.in_([JobState.QUEUED, JobState.RUNNING])
        values = {"state": str(JobState.CANCELLED), "finished_at": utcnow()}
        async with self._database.transaction() as session:
            await session.execute(update(JobRow).where(JobRow.id == id, going).values(**values))
        return await self.get(id)

    @reaching
    async def resume(self, id: str) -> Job:
        """Queues a job that is over again; items without an answer are tried again.

        Raises :class:`JobError` for one that is not over, or done without anything parked.
        """
        (await self.get(id)).check_resume()
        over = JobRow.state.in_([s for s in JobState if s.is_over])
        values = {
            "state": str(JobState.QUEUED),
            "error": None,
            "finished_at": None,
            "retry_before": utcnow(),
        }
        parked = and_(_ITEMS.c.job == id, _ITEMS.c.stage == PARKED)
        async with self._database.transaction() as session:
            statement = update(JobRow).where(JobRow.id == id, over).values(**values)
            if (await session.execute(statement.returning(JobRow.id))).first():
                again = update(_ITEMS).where(parked)
                blank = {"error": None, "result": None, "refusal": None}
                await session.execute(again.values(stage=ROUTED, **blank))
        return await self.get(id)

    @reaching
    async def remove(self, id: str) -> None:
        """Forgets a job with its items; the completions stay, they are nobody's."""
        async with self._database.transaction() as session:
            await session.execute(delete(JobRow).where(JobRow.id == id))


def _free() -> Any:
    """Nobody runs it."""
    return or_(JobRow.owner.is_(None), JobRow.beat_at.is_(None), JobRow.beat_at < utcnow() - LEASE)


def _job(row: JobRow, *, settled: bool = True) -> Job:
    return Job(
        id=row.id,
        spec=JobSpec.of(row.spec),
        state=JobState(row.state),
        created_at=row.created_at,
        retry_before=row.retry_before,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        fixed=row.fixed if settled else None,
        progress=JobProgress.of(row.progress) if row.progress else None,
        owner=row.owner,
        key=row.key,
    )
