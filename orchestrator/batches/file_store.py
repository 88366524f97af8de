"""Keeps files in the database, in pieces: every process sees them, and no path is ever made up.

What is being written is invisible until it is whole; what was never finished is swept away.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, or_, select, tuple_, update

from coterie.db import Database, insert_new
from coterie.errors import UnknownFile
from coterie.outage import reaching
from orchestrator.batches.batch import OVER
from orchestrator.batches.stored_file import StoredFile
from orchestrator.batches.tables import BatchRow, FileChunkRow, FileRow

CHUNK = 512 * 1024
"""Bytes in one piece, at most."""
ABANDONED = timedelta(days=1)
"""When a file that is still not whole never will be."""


class FileStore:
    """The files.  A piece is a transaction: memory does not grow with the file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @reaching
    async def begin(self, file: StoredFile) -> None:
        """Keeps a place for a file that is to be written."""
        row = {
            "id": file.id,
            "name": file.name,
            "purpose": file.purpose,
            "bytes": 0,
            "ready": False,
            "created_at": file.created_at,
            "expires_at": file.expires_at,
            "key": file.key,
        }
        async with self._database.transaction() as session:
            await insert_new(session, FileRow, [row])

    @reaching
    async def append(self, id: str, number: int, body: bytes) -> None:
        """Keeps piece ``number``; the first one stays."""
        async with self._database.transaction() as session:
            await insert_new(session, FileChunkRow, [{"file": id, "number": number, "body": body}])

    @reaching
    async def finish(self, id: str, size: int) -> StoredFile:
        """The file is whole, and there for all."""
        async with self._database.transaction() as session:
            await session.execute(
                update(FileRow).where(FileRow.id == id).values(ready=True, bytes=size)
            )
        return await self.get(id)

    @reaching
    async def get(self, id: str) -> StoredFile:
        """The file called ``id``; raises :class:`UnknownFile`."""
        async with self._database.read() as session:
            row = await session.get(FileRow, id)
        if row is None or not row.ready:
            raise UnknownFile(
                f"no file {id!r}: it never was, was deleted, or has expired", param="id"
            )
        return _file(row)

    @reaching
    async def list(
        self,
        *,
        purpose: str | None = None,
        newest_first: bool = True,
        after: str | None = None,
        limit: int = 10_000,
        keys: Collection[str] | None = None,
    ) -> list[StoredFile]:
        """Files in the order of their making, those after the one called ``after``; those that
        belong to one of ``keys`` alone."""
        order = (FileRow.created_at, FileRow.id)
        query = select(FileRow).where(FileRow.ready)
        if purpose is not None:
            query = query.where(FileRow.purpose == purpose)
        if keys is not None:
            query = query.where(FileRow.key.in_(list(keys)))
        if after is not None:
            last, at = await self.get(after), tuple_(*order)
            here = tuple_(last.created_at, last.id)
            query = query.where(at < here if newest_first else at > here)
        query = query.order_by(*(c.desc() if newest_first else c for c in order)).limit(limit)
        async with self._database.read() as session:
            return [_file(row) for row in await session.scalars(query)]

    async def contents(self, id: str) -> AsyncGenerator[bytes, None]:
        """The file, piece by piece; raises :class:`UnknownFile` also if it goes away meanwhile."""
        left, number = (await self.get(id)).bytes, 0
        while left:
            body = await self._chunk(id, number)
            if body is None:
                raise UnknownFile(f"file {id!r} was deleted while it was read", param="id")
            yield body
            left, number = left - len(body), number + 1

    @reaching
    async def _chunk(self, id: str, number: int) -> bytes | None:
        query = select(FileChunkRow.body).where(
            FileChunkRow.file == id, FileChunkRow.number == number
        )
        async with self._database.read() as session:
            body = await session.scalar(query)
        return None if body is None else bytes(body)

    @reaching
    async def remove(self, id: str) -> None:
        """Deletes a file, whole or not, with its contents."""
        async with self._database.transaction() as session:
            await session.execute(delete(FileRow).where(FileRow.id == id))

    @reaching
    async def sweep(self, now: datetime) -> None:
        """Deletes what has expired, unless a batch still needs it, and what was never finished."""
        needed = select(BatchRow.input_file).where(BatchRow.state.not_in(OVER))
        expired = and_(FileRow.expires_at < now, FileRow.id.not_in(needed))
        abandoned = and_(~FileRow.ready, FileRow.created_at < now - ABANDONED)
        async with self._database.transaction() as session:
            await session.execute(delete(FileRow).where(or_(expired, abandoned)))


class FileWriter:
    """Writes one file, in pieces of a fixed size; makes it when there is something to write."""

    def __init__(self, store: FileStore, file: StoredFile) -> None:
        self._store = store
        self._file = file
        self._waiting = bytearray()
        self._number = 0
        self.size = 0

    @property
    def id(self) -> str | None:
        """The file's id, once there is something in it."""
        return self._file.id if self.size else None

    async def write(self, body: bytes) -> None:
        """Adds ``body`` at the end."""
        if body and not self.size:
            await self._store.begin(self._file)
        self.size += len(body)
        self._waiting += body
        while len(self._waiting) >= CHUNK:
            await self._put(CHUNK)

    async def flush(self) -> None:
        """Everything that was written is kept; the file is still not there for others."""
        if self._waiting:
            await self._put(len(self._waiting))

    async def close(self) -> StoredFile:
        """The file, whole; one that nothing was written to is made all the same."""
        if not self.size:
            await self._store.begin(self._file)
        await self.flush()
        return await self._store.finish(self._file.id, self.size)

    async def discard(self) -> None:
        """Forgets what was written."""
        await self._store.remove(self._file.id)

    async def _put(self, size: int) -> None:
        body = bytes(self._waiting[:size])
        del self._waiting[:size]
        await self._store.append(self._file.id, self._number, body)
        self._number += 1


def _file(row: FileRow) -> StoredFile:
    times = (row.created_at, row.expires_at)
    return StoredFile(row.id, row.name, row.purpose, *times, row.bytes, row.key)
