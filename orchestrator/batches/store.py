"""Keeps batches, and who works on each.  A batch changes its state in one transaction, or not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, tuple_, update

from coterie.db import Database, insert_new, utcnow
from coterie.errors import UnknownBatch
from coterie.outage import reaching
from coterie.types import Usage, as_jsonable
from orchestrator.batches.batch import OVER, Batch, BatchState, Counts, Problem
from orchestrator.batches.tables import BatchRow, FileRow

LEASE = timedelta(seconds=30)
"""How long whoever works on a batch may be silent before another takes it over."""


class BatchStore:
    """The batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @reaching
    async def add(self, batch: Batch) -> None:
        """Keeps a new batch."""
        row = {
            "id": batch.id,
            "input_file": batch.input_file,
            "meta": dict(batch.metadata),
            "output_ttl_s": batch.output_ttl_s,
            "times": {},
            "created_at": batch.created_at,
            "expires_at": batch.expires_at,
            "state": str(batch.state),
            "counts": as_jsonable(batch.counts),
            "problems": [],
            "key": batch.key,
        }
        async with self._database.transaction() as session:
            await insert_new(session, BatchRow, [row])

    @reaching
    async def get(self, id: str) -> Batch:
        """The batch called ``id``; raises :class:`UnknownBatch`."""
        async with self._database.read() as session:
            return _batch(_known(await session.get(BatchRow, id), id))

    @reaching
    async def newest(
        self, limit: int, after: str | None = None, keys: Collection[str] | None = None
    ) -> list[Batch]:
        """The newest batches, newest first: those made before the one called ``after``; those made
        with one of ``keys`` alone."""
        order = (BatchRow.created_at, BatchRow.id)
        query = select(BatchRow).order_by(*(c.desc() for c in order)).limit(limit)
        if keys is not None:
            query = query.where(BatchRow.key.in_(list(keys)))
        if after is not None:
            last = await self.get(after)
            query = query.where(tuple_(*order) < tuple_(last.created_at, last.id))
        async with self._database.read() as session:
            return [_batch(row) for row in await session.scalars(query)]

    @reaching
    async def going(self) -> list[tuple[Batch, str | None]]:
        """The batches that are not over, oldest first, and who works on each."""
        query = select(BatchRow).where(BatchRow.state.not_in(OVER))
        async with self._database.read() as session:
            rows = await session.scalars(query.order_by(BatchRow.created_at, BatchRow.id))
            return [(_batch(row), row.owner) for row in rows]

    @reaching
    async def user_of(self, file: str) -> str | None:
        """A batch that still needs the file, where there is one."""
        query = select(BatchRow.id).where(BatchRow.input_file == file, BatchRow.state.not_in(OVER))
        async with self._database.read() as session:
            return await session.scalar(query.limit(1))

    @reaching
    async def take(self, id: str, owner: str, *, instead_of: str | None = None) -> bool:
        """Makes ``owner`` the one who works on the batch, or keeps it that; true if it is.

        ``instead_of`` is an owner known to be gone.
        """
        free = or_(
            BatchRow.owner.is_(None),
            BatchRow.owner.in_([owner, instead_of or owner]),
            BatchRow.beat_at < utcnow() - LEASE,
        )
        statement = update(BatchRow).where(BatchRow.id == id, free)
        statement = statement.values(owner=owner, beat_at=utcnow())
        async with self._database.transaction() as session:
            found = await session.execute(statement.returning(BatchRow.id))
            return found.first() is not None

    @reaching
    async def give_up(self, id: str, owner: str) -> None:
        """The owner no longer works on the batch."""
        mine = update(BatchRow).where(BatchRow.id == id, BatchRow.owner == owner)
        async with self._database.transaction() as session:
            await session.execute(mine.values(owner=None, beat_at=None))

    @reaching
    async def move(
        self, id: str, allowed: Collection[BatchState], to: BatchState, at: datetime, **values: Any
    ) -> Batch | None:
        """Brings the batch into state ``to``, with other ``values`` changed; None if it is in none
        of those ``allowed``, and stays."""
        async with self._database.transaction() as session:
            row = _known(await session.get(BatchRow, id, with_for_update=True), id)
            if BatchState(row.state) not in allowed:
                return None
            row.state = str(to)
            row.times = {**row.times, str(to): at.timestamp()}
            for name, value in values.items():
                setattr(row, name, as_jsonable(value))
            return _batch(row)

    @reaching
    async def end(
        self, batch: Batch, to: BatchState, at: datetime, sizes: Mapping[str, int]
    ) -> bool:
        """The batch is over, with all that ``batch`` says of it, and its files are there for all.

        ``sizes`` are theirs, in bytes, by id.  Both, or neither: false if somebody else ended it.
        """
        async with self._database.transaction() as session:
            row = _known(await session.get(BatchRow, batch.id, with_for_update=True), batch.id)
            if BatchState(row.state).is_over:
                return False
            for id, size in sizes.items():
                whole = update(FileRow).where(FileRow.id == id)
                await session.execute(whole.values(ready=True, bytes=size))
            row.state = str(to)
            row.times = {**row.times, str(to): at.timestamp()}
            row.counts = as_jsonable(batch.counts)
            row.usage = _usage_record(batch.usage)
            row.problems = as_jsonable(batch.problems)
            row.output_file, row.error_file = batch.output_file, batch.error_file
            row.owner = row.beat_at = None
        return True


def _known(row: BatchRow | None, id: str) -> BatchRow:
    if row is None:
        raise UnknownBatch(f"no batch {id!r}: GET /v1/batches lists those there are")
    return row


def _usage_record(usage: Usage | None) -> list[int] | None:
    return [usage.prompt_tokens, usage.completion_tokens] if usage else None


def _batch(row: BatchRow) -> Batch:
    return Batch(
        id=row.id,
        input_file=row.input_file,
        created_at=row.created_at,
        expires_at=row.expires_at,
        state=BatchState(row.state),
        metadata=row.meta,
        output_ttl_s=row.output_ttl_s,
        times={name: datetime.fromtimestamp(at, UTC) for name, at in row.times.items()},
        counts=Counts(**row.counts),
        usage=Usage(*row.usage) if row.usage else None,
        problems=tuple(Problem(**p) for p in row.problems),
        output_file=row.output_file,
        error_file=row.error_file,
        key=row.key,
    )
