"""Keeps snapshots in the database, and which one is active.  A snapshot is never changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database, upsert
from coterie.errors import DuplicateSnapshot, SnapshotError, UnknownSnapshot
from coterie.types import as_jsonable
from skills.snapshot import SnapshotInfo
from skills.tables import ActiveSnapshotRow, SnapshotRow

_INFO = (
    SnapshotRow.name,
    SnapshotRow.created_at,
    SnapshotRow.note,
    SnapshotRow.parent,
    SnapshotRow.answers,
    SnapshotRow.encoder,
)  # everything but the body, which may be megabytes


class SnapshotStore:
    """The snapshots; adding, activating and removing is all that can be done with one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, info: SnapshotInfo, body: bytes, *, activate: bool = True) -> None:
        """Keeps a new snapshot, the active one from now on; raises :class:`DuplicateSnapshot`."""
        columns: dict[str, Any] = {**as_jsonable(info), "body": body}
        try:
            async with self._database.transaction() as session:
                session.add(SnapshotRow(**columns))
                await session.flush()
                if activate:
                    await _activate(session, info.name)
        except IntegrityError:
            raise DuplicateSnapshot(
                f"a snapshot named {info.name!r} is kept already, and none is ever changed: "
                "choose another name"
            ) from None

    async def list(self) -> tuple[SnapshotInfo, ...]:
        """Every snapshot, the newest first."""
        query = select(*_INFO).order_by(SnapshotRow.created_at.desc(), SnapshotRow.name)
        async with self._database.read() as session:
            return tuple(_info(row) for row in await session.execute(query))

    async def get(self, name: str) -> SnapshotInfo:
        """What is told of a snapshot; raises :class:`UnknownSnapshot`."""
        async with self._database.read() as session:
            return _info(await _one(session, name, select(*_INFO)))

    async def body(self, name: str) -> bytes:
        """A snapshot's body; raises :class:`UnknownSnapshot`."""
        async with self._database.read() as session:
            return bytes((await _one(session, name, select(SnapshotRow.body)))[0])

    async def active(self) -> str | None:
        """The name of the snapshot that routing uses; None before there is one."""
        async with self._database.read() as session:
            return await session.scalar(select(ActiveSnapshotRow.name))

    async def activate(self, name: str) -> SnapshotInfo:
        """Makes ``name`` the snapshot that routing uses; raises :class:`UnknownSnapshot`."""
        async with self._database.transaction() as session:
            info = _info(await _one(session, name, select(*_INFO)))
            await _activate(session, name)
        return info

    async def remove(self, name: str) -> None:
        """Forgets a snapshot; raises :class:`SnapshotError` for the active one."""
        async with self._database.transaction() as session:
            await _one(session, name, select(SnapshotRow.name))
            if await session.scalar(select(ActiveSnapshotRow.name)) == name:
                raise SnapshotError(
                    f"snapshot {name!r} is the active one and cannot be removed: "
                    "activate another first"
                )
            await session.execute(delete(SnapshotRow).where(SnapshotRow.name == name))


async def _activate(session: AsyncSession, name: str) -> None:
    await upsert(session, ActiveSnapshotRow, [{"slot": 1, "name": name}], key=["slot"])


async def _one(session: AsyncSession, name: str, query: Any) -> Any:
    """The one row of ``query`` about snapshot ``name``."""
    row = (await session.execute(query.where(SnapshotRow.name == name))).one_or_none()
    if row is None:
        newest = select(SnapshotRow.name).order_by(SnapshotRow.created_at.desc()).limit(10)
        known = ", ".join(map(repr, await session.scalars(newest))) or "none"
        raise UnknownSnapshot(f"no snapshot is named {name!r}; the newest are {known}")
    return row


def _info(row: Any) -> SnapshotInfo:
    return SnapshotInfo(**row._mapping)
