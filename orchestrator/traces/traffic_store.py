"""Keeps and reads sums over why-records by time.

Times are taken to whole periods: the first holds ``since``, the last ends at ``until`` or holds it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database
from orchestrator.traces.increments import Increments
from orchestrator.traces.tables import TRAFFIC, TRAFFIC_EXPERTS
from orchestrator.traces.traffic import CallPoint, Calls, Point, Requests, Step


class TrafficStore:
    """The sums, as they are looked at."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def series(
        self, since: datetime, until: datetime, step: Step, *, strategy: str | None = None
    ) -> list[Point]:
        """The requests of each period in which there were any, the oldest first."""
        query = _sums(TRAFFIC, TRAFFIC.c.start).where(*_within(TRAFFIC, since, until, step))
        if strategy is not None:
            query = query.where(TRAFFIC.c.strategy == strategy)
        rows = await self._rows(query.order_by(TRAFFIC.c.start))
        return [Point(_time(row["start"]), _requests(row)) for row in rows]

    async def total(self, since: datetime, until: datetime, step: Step) -> Requests:
        """All requests of that time."""
        query = _sums(TRAFFIC).where(*_within(TRAFFIC, since, until, step))
        [row] = await self._rows(query)
        return _requests(row)

    async def strategies(self, since: datetime, until: datetime, step: Step) -> dict[str, Requests]:
        """The requests of that time by strategy, those with the most first."""
        query = _sums(TRAFFIC, TRAFFIC.c.strategy).where(*_within(TRAFFIC, since, until, step))
        found = {row["strategy"]: _requests(row) for row in await self._rows(query)}
        return dict(sorted(found.items(), key=lambda item: (-item[1].requests, item[0])))

    async def experts(
        self, since: datetime, until: datetime, step: Step, *, expert: str | None = None
    ) -> list[Calls]:
        """The calls of that time by expert and role, in that order; of one expert where given."""
        table = TRAFFIC_EXPERTS
        query = _sums(table, table.c.expert, table.c.role)
        query = query.where(*_within(table, since, until, step))
        if expert is not None:
            query = query.where(table.c.expert == expert)
        rows = await self._rows(query)
        return sorted(map(_calls, rows), key=lambda c: (c.expert, c.role))

    async def expert_series(
        self, expert: str, since: datetime, until: datetime, step: Step, *, role: str = "answer"
    ) -> list[CallPoint]:
        """The calls to one expert of each period in which there were any, the oldest first."""
        table = TRAFFIC_EXPERTS
        query = _sums(table, table.c.start, table.c.expert, table.c.role).where(
            *_within(table, since, until, step), table.c.expert == expert, table.c.role == role
        )
        rows = await self._rows(query.order_by(table.c.start))
        return [CallPoint(_time(row["start"]), _calls(row)) for row in rows]

    async def forget_minutes(self, before: datetime) -> None:
        """Forgets the sums of single minutes before ``before``."""
        old = (TRAFFIC.c.seconds == Step.MINUTE) & (TRAFFIC.c.start < int(before.timestamp()))
        async with self._database.transaction() as session:
            await session.execute(delete(TRAFFIC).where(old))

    async def _rows(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        async with self._database.read() as session:
            return [dict(row) for row in (await session.execute(query)).mappings()]


async def add_increments(session: AsyncSession, increments: Increments) -> None:
    """Adds ``increments`` to what is kept, in the transaction that keeps their records."""
    await _add(session, TRAFFIC, increments.requests)
    await _add(session, TRAFFIC_EXPERTS, increments.calls)


async def _add(
    session: AsyncSession, table: Table, sums: Mapping[Any, Mapping[str, float]]
) -> None:
    if not sums:
        return
    keys, counted = _names(table)
    # In one order, or two processes would wait for each other's rows.
    rows = [
        {**dict(zip(keys, key, strict=True)), **{name: found[name] for name in counted}}
        for key, found in sorted(sums.items())
    ]
    dialect = session.get_bind().dialect.name
    insert: Any = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    more = {name: table.c[name] + insert.excluded[name] for name in counted}
    await session.execute(insert.on_conflict_do_update(index_elements=keys, set_=more), rows)


# --- queries and rows ---------------------------------------------------------------------------


def _names(table: Table) -> tuple[list[str], list[str]]:
    """The columns that sums are kept by, and those that hold them."""
    keys = [column.name for column in table.primary_key]
    return keys, [column.name for column in table.c if column.name not in keys]


def _sums(table: Table, *by: ColumnElement[Any]) -> Select[Any]:
    summed = [func.sum(table.c[name]).label(name) for name in _names(table)[1]]
    return select(*by, *summed).group_by(*by)


def _within(
    table: Table, since: datetime, until: datetime, step: Step
) -> tuple[ColumnElement[bool], ...]:
    end = math.ceil(until.timestamp())
    first = step.floor(since)
    return table.c.seconds == int(step), table.c.start >= first, table.c.start < end


def _time(start: int) -> datetime:
    return datetime.fromtimestamp(start, UTC)


def _requests(row: Mapping[str, Any]) -> Requests:
    return Requests(**_plain(Requests, row), latencies=_histogram(row, "latency"))


def _calls(row: Mapping[str, Any]) -> Calls:
    return Calls(
        expert=row["expert"],
        role=row["role"],
        **_plain(Calls, row),
        latencies=_histogram(row, "latency"),
        costs=_histogram(row, "cost"),
    )


def _plain(of: type[Requests | Calls], row: Mapping[str, Any]) -> dict[str, Any]:
    """The sums among the fields; PostgreSQL adds whole numbers up as decimals."""
    sums = {f.name: f.type for f in fields(of) if f.name in row and f.type in ("int", "float")}
    return {name: (int if kind == "int" else float)(row[name] or 0) for name, kind in sums.items()}


def _histogram(row: Mapping[str, Any], name: str) -> tuple[int, ...]:
    bins = (column for column in row if column.rpartition("_")[0] == name)
    found = [row[c] for c in bins if c.rpartition("_")[2].isdigit()]
    return tuple(int(value or 0) for value in found)
