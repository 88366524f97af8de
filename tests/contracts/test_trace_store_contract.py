"""Why-records come back as they were, from both databases."""

from __future__ import annotations

from typing import Any

import pytest

from coterie.db import Database
from orchestrator.traces.store import TraceStore


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "created_at": f"2026-01-02T03:04:{number:02d}+00:00",
        "strategy": "symbolic",
        "status": "answered",
        "candidates": [{"expert": "adam", "score": 0.5}],
        **fields,
    }


@pytest.fixture
def traces(database: Database) -> TraceStore:
    return TraceStore(database)


async def test_a_record_comes_back_as_it_was(traces: TraceStore) -> None:
    await traces.save([record(1, question="nul \x00")])
    assert await traces.get("r1") == record(1, question="nul \x00")


async def test_an_unknown_id_is_none(traces: TraceStore) -> None:
    assert await traces.get("r1") is None


async def test_a_record_is_overwritten_by_its_next_version(traces: TraceStore) -> None:
    await traces.save([record(1, status="routed")])
    await traces.save([record(1, model="coterie")])
    assert await traces.get("r1") == record(1, model="coterie")


async def test_the_newest_come_first(traces: TraceStore) -> None:
    await traces.save([record(2), record(3), record(1)])
    assert await traces.recent(2) == [record(3), record(2)]


@pytest.mark.parametrize(("keep", "left"), [(2, ["r3", "r2"]), (9, ["r3", "r2", "r1"]), (0, [])])
async def test_pruning_keeps_the_newest(traces: TraceStore, keep: int, left: list[str]) -> None:
    await traces.save([record(2), record(3), record(1)])
    assert await traces.prune(keep) == 3 - len(left)
    assert [r["id"] for r in await traces.recent(9)] == left
