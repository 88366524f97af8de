"""Snapshots are kept as they are, one is active, and none is ever changed; on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coterie.db import Database
from coterie.errors import DuplicateSnapshot, SnapshotError, UnknownSnapshot
from skills.snapshot import SnapshotInfo
from skills.snapshot_store import SnapshotStore

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FIRST = SnapshotInfo("first", NOON, "a note", None, 20, "mini")
SECOND = SnapshotInfo("second", NOON + timedelta(hours=1), parent="first", answers=30)
BODY = bytes(range(256)) * 50


@pytest.fixture
def store(database: Database) -> SnapshotStore:
    return SnapshotStore(database)


async def test_a_snapshot_comes_back_as_it_was(store: SnapshotStore) -> None:
    await store.add(FIRST, BODY)
    assert await store.get("first") == FIRST
    assert await store.body("first") == BODY


async def test_the_newest_is_active_and_listed_first(store: SnapshotStore) -> None:
    assert await store.active() is None
    assert await store.list() == ()
    await store.add(FIRST, BODY)
    await store.add(SECOND, b"")
    assert await store.active() == "second"
    assert await store.list() == (SECOND, FIRST)


async def test_one_can_be_added_without_being_used(store: SnapshotStore) -> None:
    await store.add(FIRST, BODY)
    await store.add(SECOND, BODY, activate=False)
    assert await store.active() == "first"


async def test_going_back_is_activating_an_older_one(store: SnapshotStore) -> None:
    await store.add(FIRST, BODY)
    await store.add(SECOND, b"")
    assert await store.activate("first") == FIRST
    assert await store.active() == "first"


async def test_a_name_is_taken_once(store: SnapshotStore) -> None:
    await store.add(FIRST, BODY)
    await store.add(SECOND, b"two")
    with pytest.raises(DuplicateSnapshot, match="'first' is kept already"):
        await store.add(replace(FIRST, note="other"), b"other")
    assert await store.get("first") == FIRST
    assert await store.body("first") == BODY
    assert await store.active() == "second"


async def test_the_active_one_cannot_be_removed(store: SnapshotStore) -> None:
    await store.add(FIRST, BODY)
    await store.add(SECOND, BODY)
    with pytest.raises(SnapshotError, match="'second' is the active one"):
        await store.remove("second")
    await store.remove("first")
    assert await store.list() == (SECOND,)


@pytest.mark.parametrize("method", ["get", "body", "activate", "remove"])
async def test_an_unknown_name_is_told_with_the_newest(store: SnapshotStore, method: str) -> None:
    await store.add(FIRST, BODY)
    with pytest.raises(UnknownSnapshot, match="'nothing'; the newest are 'first'"):
        await getattr(store, method)("nothing")
    assert await store.active() == "first"


async def test_services_that_add_at_once_keep_both(store: SnapshotStore) -> None:
    await asyncio.gather(store.add(FIRST, BODY), store.add(SECOND, BODY))
    assert await store.list() == (SECOND, FIRST)
    assert await store.active() in ("first", "second")
