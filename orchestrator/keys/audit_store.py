"""Keeps the audit log in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from coterie.db import Database
from coterie.outage import reaching
from orchestrator.keys.audit import EVERY_CHANGE, Change, ChangeFilters
from orchestrator.keys.tables import AuditRow


class AuditStore:
    """The changes, one row each, in the order they were made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @reaching
    async def add(
        self,
        caller: str,
        name: str,
        action: str,
        target: str,
        detail: Mapping[str, Any],
        at: datetime,
    ) -> None:
        """Keeps one change."""
        async with self._database.transaction() as session:
            row = {"caller": caller, "name": name, "action": action, "target": target, "at": at}
            session.add(AuditRow(**row, detail=dict(detail)))

    @reaching
    async def page(
        self, limit: int, before: int | None = None, filters: ChangeFilters = EVERY_CHANGE
    ) -> Sequence[Change]:
        """The newest ``limit`` changes that pass, newest first: those made before the one of id
        ``before``."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditRow.id < before)
        if filters.caller is not None:
            query = query.where(
                (AuditRow.caller == filters.caller) | (AuditRow.name == filters.caller)
            )
        if filters.action is not None:
            query = query.where(
                (AuditRow.action == filters.action)
                | AuditRow.action.startswith(f"{filters.action}.")
            )
        if filters.target is not None:
            query = query.where(AuditRow.target == filters.target)
        if filters.since is not None:
            query = query.where(AuditRow.at >= filters.since)
        if filters.until is not None:
            query = query.where(AuditRow.at < filters.until)
        async with self._database.read() as session:
            return [_change(row) for row in await session.scalars(query)]

    @reaching
    async def prune(self, before: datetime) -> int:
        """Forgets what was changed ``before`` then; returns how many changes that were."""
        async with self._database.transaction() as session:
            old = delete(AuditRow).where(AuditRow.at < before).returning(AuditRow.id)
            return len((await session.scalars(old)).all())


def _change(row: AuditRow) -> Change:
    return Change(row.id, row.at, row.caller, row.name, row.action, row.target, row.detail)
