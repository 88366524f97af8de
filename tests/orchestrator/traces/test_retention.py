"""Old why-records are forgotten, with all that they are found by; sums stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from coterie.db import Database, utcnow
from orchestrator.traces import retention, store
from orchestrator.traces.facts import Record
from orchestrator.traces.retention import Retention
from orchestrator.traces.store import TraceStore
from orchestrator.traces.traffic import Step
from orchestrator.traces.traffic_store import TrafficStore

TABLES = ("routes", "route_heads", "route_experts", "route_skills", "route_feedback")


def record(n: int, days_ago: float) -> Record:
    return {
        "id": f"r{n}",
        "created_at": (utcnow() - timedelta(days=days_ago)).isoformat(),
        "status": "answered",
        "chosen": ["ada", "bob"],
        "skills": [{"skill": "sums"}],
    }


def keeping(database: Database, keep: int, days: float | None = None) -> Retention:
    return Retention(TraceStore(database), TrafficStore(database), keep, days)


async def counts(database: Database) -> list[int]:
    async with database.read() as session:
        found = [await session.scalar(text(f"SELECT count(*) FROM {t}")) for t in TABLES]
    return [int(count or 0) for count in found]


async def test_what_is_too_old_is_forgotten(sqlite_database: Database) -> None:
    traces = TraceStore(sqlite_database)
    await traces.save([record(n, days_ago=n) for n in range(10)])
    assert await keeping(sqlite_database, 100, days=6.5).tidy() == 3
    assert [r["id"] for r in await traces.recent(99)] == [f"r{n}" for n in range(7)]


async def test_it_goes_in_pieces_and_leaves_nothing_behind(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PIECE", 3)
    for module in (store, retention):
        monkeypatch.setattr(module, "MOST_AT_ONCE", 6)
    traces = TraceStore(sqlite_database)
    await traces.save([record(n, days_ago=n / 24) for n in range(20)])
    assert await traces.prune(4) == 6
    assert await keeping(sqlite_database, 4).tidy() == 10
    assert await counts(sqlite_database) == [4, 4, 8, 4, 0]
    total = await TrafficStore(sqlite_database).total(
        utcnow() - timedelta(days=2), utcnow(), Step.HOUR
    )
    assert total.requests == 20


async def test_a_database_that_is_away_is_waited_for(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    class Away(TraceStore):
        async def prune(self, *_: Any) -> int:
            tries.append(1)
            if len(tries) > 2:
                raise KeyboardInterrupt
            raise OSError("connection refused")

    monkeypatch.setattr(retention, "EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        await Retention(Away(sqlite_database), TrafficStore(sqlite_database), 1).run()
    assert len(tries) == 3
