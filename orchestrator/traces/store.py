"""Keeps why-records in the database, with what they are found by and counted as."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database, upsert, utcnow
from orchestrator.traces.bands import AGREEMENT, COST_USD, LATENCY_MS
from orchestrator.traces.facts import Facts, Record, facts_of
from orchestrator.traces.feedback import feedback_body
from orchestrator.traces.feedback_store import feedback_of
from orchestrator.traces.increments import DAY, increments_of
from orchestrator.traces.moments import first_moment, moment_of
from orchestrator.traces.tables import (
    FeedbackRow,
    HeadRow,
    RouteExpertRow,
    RouteRow,
    RouteSkillRow,
)
from orchestrator.traces.traffic_store import add_increments

__all__ = ["Record", "TraceStore"]

PIECE = 500
"""Records removed in one transaction: other writers wait no longer than that takes."""
MOST_AT_ONCE = 20 * PIECE
"""Records removed in one call."""


class TraceStore:
    """The why-records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, records: Sequence[Record]) -> None:
        """Keeps ``records`` in one transaction; one with a known id overwrites that one."""
        kept = {str(r["id"]): r for r in records}
        facts = [facts_of(r) for r in kept.values()]  # a bad one fails before the database is held
        since = utcnow().timestamp() - DAY
        async with self._database.transaction() as session:
            old = await _overwritten(session, list(kept))
            moments = await _free_moments(session, facts)
            await upsert(session, RouteRow, _route_rows(facts, kept), key=["id"])
            await _index(session, facts, moments, overwritten=bool(old))
            await add_increments(session, increments_of(kept.values(), old, since))

    async def get(self, id: str) -> Record | None:
        """The record called ``id``, if it is (still) kept, with the feedback on it."""
        async with self._database.read() as session:
            row = await session.get(RouteRow, id)
            said = await session.get(FeedbackRow, id) if row else None
            if row is None or said is None:
                return row.record if row else None
            return {**row.record, "feedback": feedback_body(feedback_of(said))}

    async def recent(self, limit: int) -> list[Record]:
        """The last ``limit`` records, newest first."""
        query = (
            select(RouteRow.record)
            .join(HeadRow, HeadRow.id == RouteRow.id)
            .order_by(HeadRow.moment.desc())
            .limit(limit)
        )
        async with self._database.read() as session:
            return list(await session.scalars(query))

    # --- forgetting -----------------------------------------------------------------------------

    async def prune(self, keep: int, before: datetime | None = None) -> int:
        """Forgets all but the newest ``keep`` records, and those made ``before``.

        Returns how many that were: ``MOST_AT_ONCE`` at most, in transactions of ``PIECE``; what is
        left is for the next call.
        """
        last = await self._last_to_go(keep, before)
        gone = 0
        while last is not None and gone < MOST_AT_ONCE:
            removed = await self._remove_piece(HeadRow.moment <= last)
            gone += removed
            if removed < PIECE:
                break
        return gone

    async def remove(self, ids: Collection[str]) -> int:
        """Forgets the records called so; returns how many there were."""
        wanted, gone = list(ids), 0
        for start in range(0, len(wanted), PIECE):
            gone += await self._remove_piece(HeadRow.id.in_(wanted[start : start + PIECE]))
        return gone

    async def of_key(self, key: str, limit: int) -> list[str]:
        """The ids of the oldest ``limit`` records of the API key of id ``key``."""
        query = select(HeadRow.id).where(HeadRow.key == key).order_by(HeadRow.moment)
        async with self._database.read() as session:
            return list(await session.scalars(query.limit(limit)))

    async def _last_to_go(self, keep: int, before: datetime | None) -> int | None:
        newest = select(HeadRow.moment).order_by(HeadRow.moment.desc())
        async with self._database.read() as session:
            last = await session.scalar(newest.offset(keep).limit(1))
        bounds = [last, first_moment(before) - 1 if before else None]
        return max((bound for bound in bounds if bound is not None), default=None)

    async def _remove_piece(self, condition: Any) -> int:
        query = select(HeadRow.moment, HeadRow.id).where(condition).order_by(HeadRow.moment)
        async with self._database.transaction() as session:
            found = (await session.execute(query.limit(PIECE))).all()
            if found:
                ids = [row.id for row in found]
                await _unindex(session, [row.moment for row in found])
                await session.execute(delete(FeedbackRow).where(FeedbackRow.route.in_(ids)))
                await session.execute(delete(RouteRow).where(RouteRow.id.in_(ids)))
            return len(found)


# --- what a record is found by ------------------------------------------------------------------


async def _overwritten(session: AsyncSession, ids: Sequence[str]) -> list[Record]:
    """The records kept under ``ids`` until now, which are found by nothing any more."""
    known = select(HeadRow.moment, HeadRow.id).where(HeadRow.id.in_(ids))
    found = (await session.execute(known)).all()
    if not found:
        return []
    await _unindex(session, [row.moment for row in found])
    named = RouteRow.id.in_([row.id for row in found])
    return list(await session.scalars(select(RouteRow.record).where(named)))


async def _free_moments(session: AsyncSession, facts: Sequence[Facts]) -> list[int]:
    """A moment for each, that no other record has."""
    taken: set[int] = set()
    while True:
        found = _apart([moment_of(f.created_at, f.id) for f in facts], taken)
        query = select(HeadRow.moment).where(HeadRow.moment.in_(found))
        others = set(await session.scalars(query))
        if not others:
            return found
        taken |= others


def _apart(moments: Iterable[int], taken: Collection[int]) -> list[int]:
    """``moments``, each moved on until nobody else has it."""
    used, found = set(taken), []
    for moment in moments:
        free = next(m for m in itertools.count(moment) if m not in used)
        used.add(free)
        found.append(free)
    return found


async def _index(
    session: AsyncSession, facts: Sequence[Facts], moments: Sequence[int], *, overwritten: bool
) -> None:
    each = list(zip(facts, moments, strict=True))
    await _insert(session, HeadRow, (_head_row(f, moment) for f, moment in each))
    await _insert(
        session,
        RouteExpertRow,
        (
            {"moment": moment, "expert": expert, "part": int(part)}
            for f, moment in each
            for expert, part in f.experts
        ),
    )
    await _insert(
        session,
        RouteSkillRow,
        ({"moment": moment, "skill": skill} for f, moment in each for skill in f.skills),
    )
    if overwritten:
        for f, moment in each:
            given = update(FeedbackRow).where(FeedbackRow.route == f.id)
            await session.execute(given.values(moment=moment))


async def _unindex(session: AsyncSession, moments: Sequence[int]) -> None:
    for row in (RouteExpertRow, RouteSkillRow, HeadRow):
        await session.execute(delete(row).where(row.moment.in_(moments)))


async def _insert(session: AsyncSession, row: Any, values: Iterable[Mapping[str, Any]]) -> None:
    if rows := list(values):
        await session.execute(insert(row.__table__), rows)


def _route_rows(facts: Sequence[Facts], records: Mapping[str, Record]) -> list[dict[str, Any]]:
    return [
        {
            "id": f.id,
            "created_at": f.created_at,
            "strategy": f.strategy,
            "model": f.model,
            "status": f.status,
            "record": dict(records[f.id]),
        }
        for f in facts
    ]


def _head_row(f: Facts, moment: int) -> dict[str, Any]:
    return {
        "moment": moment,
        "id": f.id,
        "strategy": f.strategy,
        "model": f.model,
        "outcome": f.outcome,
        "key": f.key,
        "agreement": f.agreement,
        "cost_usd": f.cost_usd,
        "latency_ms": f.latency_ms,
        "agreement_band": None if f.agreement is None else AGREEMENT.of(f.agreement),
        "cost_band": COST_USD.of(f.cost_usd),
        "latency_band": None if f.latency_ms is None else LATENCY_MS.of(f.latency_ms),
    }
