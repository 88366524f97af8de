"""Keeps why-records in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from coterie.db import Database, upsert
from orchestrator.traces.tables import RouteRow

Record = Mapping[str, Any]
"""A why-record: JSON with at least ``id`` and ``created_at`` (ISO 8601, with its offset)."""


class TraceStore:
    """The why-records, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, records: Sequence[Record]) -> None:
        """Keeps ``records`` in one transaction; one with a known id overwrites that one."""
        async with self._database.transaction() as session:
            await upsert(session, RouteRow, [_columns(r) for r in records], key=["id"])

    async def get(self, id: str) -> Record | None:
        """The record called ``id``, if it is (still) kept."""
        async with self._database.read() as session:
            row = await session.get(RouteRow, id)
            return row.record if row else None

    async def recent(self, limit: int) -> list[Record]:
        """The last ``limit`` records, newest first."""
        newest = (RouteRow.created_at.desc(), RouteRow.id.desc())
        query = select(RouteRow.record).order_by(*newest).limit(limit)
        async with self._database.read() as session:
            return list(await session.scalars(query))

    async def prune(self, keep: int) -> int:
        """Forgets all but the newest ``keep`` records; returns how many that were."""
        newest = (RouteRow.created_at.desc(), RouteRow.id.desc())
        old = select(RouteRow.id).order_by(*newest).offset(keep)
        async with self._database.transaction() as session:
            gone = await session.scalars(
                delete(RouteRow).where(RouteRow.id.in_(old)).returning(RouteRow.id)
            )
            return len(gone.all())


def _columns(record: Record) -> dict[str, Any]:
    return {
        "id": str(record["id"]),
        "created_at": datetime.fromisoformat(record["created_at"]),
        "strategy": str(record.get("strategy", "")),
        "model": str(record.get("model", "")),
        "status": str(record.get("status", "")),
        "record": dict(record),
    }
