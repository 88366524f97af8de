"""Why-records are written behind the requests' backs, and survive a database that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

import pytest

from coterie.db import Database
from orchestrator.observability.metrics import Metrics
from orchestrator.traces.store import Record, TraceStore
from orchestrator.traces.writer import TraceWriter


class Shelf:
    """A store in memory.  ``open`` cleared: the database hangs; ``error``: it fails."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.batches: list[int] = []
        self.pruned: list[int] = []
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.tried = asyncio.Event()

    async def save(self, records: Sequence[Record]) -> None:
        self.tried.set()
        await self.open.wait()
        if self.error:
            raise self.error
        if any(r.get("bad") for r in records):
            raise ValueError("bad record")
        self.batches.append(len(records))
        self.records |= {r["id"]: r for r in records}

    async def get(self, id: str) -> Record | None:
        return self.records.get(id)

    async def recent(self, limit: int) -> list[Record]:
        return list(self.records.values())[::-1][:limit]

    async def prune(self, keep: int) -> int:
        self.pruned.append(keep)
        return 0

    async def remove(self, ids: Collection[str]) -> int:
        return sum(self.records.pop(id, None) is not None for id in ids)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def ids(records: Sequence[Record]) -> list[str]:
    return [r["id"] for r in records]


async def test_records_reach_the_database(sqlite_database: Database) -> None:
    store = TraceStore(sqlite_database)
    async with TraceWriter(store) as writer:
        for n in range(250):
            writer.save({"id": f"r{n}", "status": "answered"})
    assert len(await store.recent(999)) == 250
    found = await store.get("r7")
    assert found is not None
    assert found["status"] == "answered"
    assert "created_at" in found


async def test_records_go_in_batches(shelf: Shelf) -> None:
    async with TraceWriter(shelf, batch=4) as writer:
        for n in range(10):
            writer.save({"id": f"{n}"})
    assert shelf.batches == [4, 4, 2]


async def test_records_that_come_one_by_one_gather_into_a_batch(shelf: Shelf) -> None:
    async with TraceWriter(shelf, linger_s=30) as writer:
        for n in range(5):
            writer.save({"id": f"{n}"})
            await asyncio.sleep(0)
    assert shelf.batches == [5]


async def test_a_record_is_found_before_it_is_written(shelf: Shelf) -> None:
    shelf.open.clear()
    async with TraceWriter(shelf) as writer:
        shelf.records["old"] = {"id": "old"}
        writer.save({"id": "a"})
        writer.save({"id": "b"})
        await shelf.tried.wait()
        found = await writer.get("a")
        assert found is not None
        assert found["id"] == "a"
        assert await writer.get("old") == {"id": "old"}
        assert await writer.get("none") is None
        assert ids(await writer.recent(3)) == ["b", "a", "old"]
        assert ids(await writer.recent(1)) == ["b"]
        shelf.open.set()
    assert list(shelf.records) == ["old", "a", "b"]


async def test_a_newer_version_that_comes_meanwhile_is_written_too(shelf: Shelf) -> None:
    shelf.open.clear()
    async with TraceWriter(shelf) as writer:
        writer.save({"id": "a", "status": "routed"})
        await shelf.tried.wait()
        writer.save({"id": "a", "status": "answered"})
        shelf.open.set()
    assert shelf.records["a"]["status"] == "answered"


async def test_records_wait_while_the_database_is_down(shelf: Shelf) -> None:
    shelf.error = OSError("connection refused")
    async with TraceWriter(shelf, retry_s=0.001) as writer:
        writer.save({"id": "a"})
        await shelf.tried.wait()
        shelf.tried.clear()
        await shelf.tried.wait()
        shelf.error = None
    assert list(shelf.records) == ["a"]
    assert writer.dropped == 0


async def test_the_oldest_are_dropped_when_too_many_wait(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.open.clear()
    async with TraceWriter(shelf, capacity=3) as writer:
        for n in range(5):
            writer.save({"id": f"{n}"})
        shelf.open.set()
    assert list(shelf.records) == ["2", "3", "4"]
    assert writer.dropped == 2
    assert "1 why-record(s) lost so far" in caplog.text


async def test_what_is_lost_is_counted_for_whoever_scrapes(shelf: Shelf) -> None:
    metrics = Metrics()

    def lost(why: str) -> float:
        return metrics.value("coterie_why_records_lost_total", why=why)

    shelf.open.clear()
    async with TraceWriter(shelf, capacity=3, metrics=metrics) as writer:
        for n in range(5):
            writer.save({"id": f"{n}", "bad": n == 4})
        shelf.open.set()
    writer.save({"id": "late"})
    assert (lost("flood"), lost("refused"), lost("stopping")) == (2, 1, 1)
    assert metrics.value("coterie_why_records_written_total") == 2


async def test_a_record_that_cannot_be_completed_is_dropped_never_written_whole(
    shelf: Shelf,
) -> None:
    def fail(record: Record) -> Record:
        raise KeyError("what")

    async with TraceWriter(shelf, complete=fail) as writer:
        writer.save({"id": "a"})
    assert shelf.records == {}
    assert writer.dropped == 1


async def test_a_record_is_removed_written_or_not(shelf: Shelf) -> None:
    shelf.open.clear()
    async with TraceWriter(shelf, batch=1, linger_s=0) as writer:
        for n in range(3):
            writer.save({"id": f"{n}", "key": "mine" if n else "yours"})
        await shelf.tried.wait()
        assert writer.waiting_of("mine") == ["1", "2"]
        removing = asyncio.create_task(writer.remove(["0", "2"]))
        await asyncio.sleep(0)
        shelf.open.set()
        assert await removing == 2
    assert list(shelf.records) == ["1"]


async def test_a_record_that_cannot_be_kept_spoils_no_other(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    async with TraceWriter(shelf) as writer:
        for n in range(4):
            writer.save({"id": f"{n}", "bad": n == 1})
    assert list(shelf.records) == ["0", "2", "3"]
    assert writer.dropped == 1
    assert "refuses '1'" in caplog.text


async def test_a_real_database_refuses_only_the_bad_record(sqlite_database: Database) -> None:
    store = TraceStore(sqlite_database)
    async with TraceWriter(store) as writer:
        writer.save({"id": "a"})
        writer.save({"id": "b", "score": float("nan")})
        writer.save({"id": "c", "what": object()})
    assert ids(await store.recent(9)) == ["a"]
    assert writer.dropped == 2


async def test_closing_waits_for_a_bounded_time(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.open.clear()
    writer = TraceWriter(shelf, grace_s=0.01)
    writer.save({"id": "a"})
    writer.save({"id": "b"})
    async with asyncio.timeout(5):
        await writer.aclose()
    assert writer.dropped == 2
    assert "did not take them in time" in caplog.text


async def test_closing_does_not_sit_out_a_retry(shelf: Shelf) -> None:
    shelf.error = OSError("connection refused")
    writer = TraceWriter(shelf, retry_s=600, grace_s=5)
    writer.save({"id": "a"})
    await shelf.tried.wait()
    await asyncio.sleep(0)
    shelf.error = None
    async with asyncio.timeout(4):
        await writer.aclose()
    assert list(shelf.records) == ["a"]


async def test_a_record_after_the_end_is_dropped(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    writer = TraceWriter(shelf)
    await writer.aclose()
    writer.save({"id": "a"})
    assert shelf.records == {}
    assert "the service is stopping" in caplog.text


async def test_the_store_is_pruned_now_and_then(shelf: Shelf) -> None:
    async with TraceWriter(shelf, keep=20, batch=1) as writer:
        for n in range(7):
            writer.save({"id": f"{n}"})
    assert shelf.pruned == [20, 20]
