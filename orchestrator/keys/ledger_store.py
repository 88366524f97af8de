"""Keeps what keys have spent, by the hour, and what is held back for calls that are not over.

Every process sees what the others hold: a hold is made in one transaction, after the key's row was
locked, and only if what was spent, what is held and what is wanted fit into the budget together.
What is read of both is read by one statement, so that a call that is settled meanwhile is seen
either as held or as spent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database, upsert
from coterie.outage import reaching
from orchestrator.keys.budget import NOTHING, Budget, Spent, began
from orchestrator.keys.tables import ApiKeyRow, KeyHoldRow, KeySpendingRow

FORGOTTEN = timedelta(days=7)
"""When a hold of a process that died is deleted; it had lapsed long before."""
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """How a key stands in its period: what it has spent, what is held, and which of the amounts
    asked for fit in besides."""

    spent: Spent
    held: Spent
    fits: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """A call that is over: what it took, and when it began.  ``held``: something was held for it
    under its id, so that it is counted once, however often it is told."""

    id: str
    key: str
    spent: Spent
    at: datetime
    held: bool


class LedgerStore:
    """What keys have spent, and what is held."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @reaching
    async def hold(
        self,
        id: str,
        key: str,
        budget: Budget | None,
        wanted: Sequence[Spent],
        now: datetime,
        ttl: timedelta,
        *,
        kept: Spent = NOTHING,
        total: Spent | None = None,
    ) -> Standing:
        """Holds under ``id`` what of ``wanted`` fits, in that order, besides what is ``kept`` of
        what it held before; for ``ttl``.

        ``total`` is what was spent under that id so far, where it is counted step by step: what is
        new of it is counted as spent now.
        """
        async with self._database.transaction() as session:
            await _lock(session, key)
            before = await session.get(KeyHoldRow, id)
            counted = _counted(before)
            if total is not None and (new := _more(total, counted)):
                await _add(session, {(key, _hour(now)): (new, 0)})
                counted += new
            standing = await _standing(session, key, budget, now, without=id)
            fits, held = _fitting(budget, standing, kept, wanted)
            if before is not None or held or counted or any(fits):
                await upsert(
                    session,
                    KeyHoldRow,
                    [_row(id, key, held, counted, now, ttl)],
                    key=["id"],
                    keep=["made_at"],
                )
        return Standing(standing.spent, standing.held + held, fits)

    @reaching
    async def settle(self, settled: Sequence[Settled]) -> None:
        """Counts as spent what calls took, and holds nothing for them any more.

        It counts for the hour they began in, and for no other period than the one that it was held
        in.
        """
        async with self._database.transaction() as session:
            open_ones = await _released(session, [s.id for s in settled if s.held])
            added: defaultdict[tuple[str, datetime], tuple[Spent, int]]
            added = defaultdict(lambda: (Spent(), 0))
            for s in settled:
                if s.held and s.id not in open_ones:
                    continue  # it was settled before: that was kept, though we did not hear of it
                at = (s.key, _hour(s.at))
                spent, calls = added[at]
                added[at] = (spent + s.spent, calls + 1)
            await _add(session, added)

    @reaching
    async def standing(self, key: str, budget: Budget | None, now: datetime) -> Standing:
        """How a key stands now; by the month where it has no budget."""
        async with self._database.read() as session:
            return await _standing(session, key, budget, now)

    @reaching
    async def spent(self, keys: Collection[str], since: datetime) -> dict[str, Spent]:
        """What each of the keys has spent from the hour of ``since`` on; those that have."""
        c = KeySpendingRow
        sums = select(c.key, func.sum(c.usd), func.sum(c.tokens)).where(c.hour >= _hour(since))
        query = sums.where(c.key.in_(keys)).group_by(c.key)
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        return {key: Spent(float(usd), int(tokens)) for key, usd, tokens in rows}

    @reaching
    async def prune(self, now: datetime) -> None:
        """Deletes holds that lapsed long ago and count for nothing."""
        lapsed = KeyHoldRow.expires_at < now - FORGOTTEN
        unspent = (KeyHoldRow.spent_usd == 0) & (KeyHoldRow.spent_tokens == 0)
        async with self._database.transaction() as session:
            await session.execute(delete(KeyHoldRow).where(lapsed, unspent))


def _fitting(
    budget: Budget | None, standing: Standing, kept: Spent, wanted: Sequence[Spent]
) -> tuple[tuple[bool, ...], Spent]:
    """Which amounts fit, and what is held with them."""
    held, fits = kept, list[bool]()
    for amount in wanted:
        fit = budget is None or budget.fits(standing.spent, standing.held + held, amount)
        held = held + amount if fit else held
        fits.append(fit)
    return tuple(fits), held


async def _lock(session: AsyncSession, key: str) -> None:
    """Makes others wait who would hold something for the key; SQLite has one writer anyway."""
    await session.execute(select(ApiKeyRow.id).where(ApiKeyRow.id == key).with_for_update())


async def _standing(
    session: AsyncSession, key: str, budget: Budget | None, now: datetime, without: str = ""
) -> Standing:
    spending, hold = KeySpendingRow, KeyHoldRow
    since = began(budget.period if budget else "month", now)
    in_period = (spending.key == key) & (spending.hour >= since)
    alive = (hold.key == key) & (hold.expires_at > now) & (hold.id != without)
    columns: list[Any] = []
    for row, which in ((spending, in_period), (hold, alive)):
        for column in (row.usd, row.tokens):
            total = func.coalesce(func.sum(column), 0)
            columns.append(select(total).where(which).scalar_subquery())
    usd, tokens, held_usd, held_tokens = (await session.execute(select(*columns))).one()
    return Standing(Spent(float(usd), int(tokens)), Spent(float(held_usd), int(held_tokens)))


async def _released(session: AsyncSession, ids: Sequence[str]) -> set[str]:
    """Those of ``ids`` that were held until now."""
    found: set[str] = set()
    for start in range(0, len(ids), AT_ONCE):
        part = sorted(ids[start : start + AT_ONCE])
        gone = delete(KeyHoldRow).where(KeyHoldRow.id.in_(part)).returning(KeyHoldRow.id)
        found.update(await session.scalars(gone))
    return found


async def _add(
    session: AsyncSession, added: Mapping[tuple[str, datetime], tuple[Spent, int]]
) -> None:
    rows = [
        {"key": key, "hour": hour, "usd": spent.usd, "tokens": spent.tokens, "calls": calls}
        for (key, hour), (spent, calls) in sorted(added.items())
    ]
    if not rows:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    table: Any = KeySpendingRow.__table__
    statement: Any = insert(table)
    more = {c: table.c[c] + statement.excluded[c] for c in ("usd", "tokens", "calls")}
    await session.execute(
        statement.on_conflict_do_update(index_elements=["key", "hour"], set_=more), rows
    )


def _more(total: Spent, counted: Spent) -> Spent:
    """What is new of a total; a smaller one is of somebody who has not read everything yet."""
    return Spent(max(0.0, total.usd - counted.usd), max(0, total.tokens - counted.tokens))


def _counted(row: KeyHoldRow | None) -> Spent:
    return Spent(row.spent_usd, row.spent_tokens) if row else Spent()


def _row(
    id: str, key: str, held: Spent, spent: Spent, now: datetime, ttl: timedelta
) -> dict[str, Any]:
    return {
        "id": id,
        "key": key,
        "usd": held.usd,
        "tokens": held.tokens,
        "spent_usd": spent.usd,
        "spent_tokens": spent.tokens,
        "made_at": now,
        "expires_at": now + ttl,
    }


def _hour(at: datetime) -> datetime:
    return began("hour", at)
