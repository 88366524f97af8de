"""Files and batches are kept whole or not at all; on both databases."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from coterie.db import Database
from coterie.errors import StoreUnavailable, UnknownBatch, UnknownFile
from coterie.types import Usage
from orchestrator.batches import file_store, spool
from orchestrator.batches.batch import Batch, BatchState, Counts, Problem
from orchestrator.batches.file_store import CHUNK, FileStore, FileWriter
from orchestrator.batches.spool import Spool, TooManyLines
from orchestrator.batches.store import BatchStore
from orchestrator.batches.stored_file import BATCH, StoredFile
from orchestrator.batches.tables import FileChunkRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def files(database: Database) -> FileStore:
    return FileStore(database)


@pytest.fixture
def batches(database: Database) -> BatchStore:
    return BatchStore(database)


def file(id: str, minutes: int = 0, purpose: str = BATCH, keep: timedelta = DAY) -> StoredFile:
    at = NOON + timedelta(minutes=minutes)
    return StoredFile(id, f"{id}.jsonl", purpose, at, at + keep)


def batch(id: str, minutes: int = 0, **fields: Any) -> Batch:
    at = NOON + timedelta(minutes=minutes)
    return Batch(id, "file-in", at, at + DAY, **fields)


async def written(files: FileStore, one: StoredFile, *parts: bytes) -> StoredFile:
    writer = FileWriter(files, one)
    for part in parts:
        await writer.write(part)
    return await writer.close()


async def read(files: FileStore, id: str) -> bytes:
    return b"".join([part async for part in files.contents(id)])


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 7])
async def test_a_file_is_read_as_it_was_written(files: FileStore, size: int) -> None:
    body = bytes(i % 251 for i in range(size))
    made = await written(files, file("file-a"), body[: size // 3], body[size // 3 :])
    assert (made.bytes, made.name) == (size, "file-a.jsonl")
    assert await read(files, "file-a") == body
    sizes = [len(part) async for part in files.contents("file-a")]
    assert all(s <= CHUNK for s in sizes)


async def test_a_file_that_is_not_whole_is_not_there(files: FileStore) -> None:
    writer = FileWriter(files, file("file-a"))
    await writer.write(b"x" * CHUNK)
    with pytest.raises(UnknownFile):
        await files.get("file-a")
    assert await files.list() == []
    await writer.close()
    assert [f.id for f in await files.list()] == ["file-a"]


async def test_a_piece_that_is_written_twice_stays(files: FileStore) -> None:
    await files.begin(file("file-a"))
    await files.append("file-a", 0, b"one")
    await files.append("file-a", 0, b"two")
    await files.finish("file-a", 3)
    assert await read(files, "file-a") == b"one"


async def test_a_file_that_goes_away_is_not_cut_short(files: FileStore) -> None:
    await written(files, file("file-a"), b"x" * (2 * CHUNK))
    contents = files.contents("file-a")
    await anext(contents)
    await files.remove("file-a")
    with pytest.raises(UnknownFile, match="deleted while"):
        await anext(contents)


async def test_nothing_is_left_of_what_is_removed_or_expired(
    files: FileStore, batches: BatchStore, database: Database
) -> None:
    for one in (file("file-a"), file("file-b"), file("file-in"), file("file-d", keep=3 * DAY)):
        await written(files, one, b"x")
    await files.begin(file("file-never"))
    await files.append("file-never", 0, b"x")
    await batches.add(batch("batch_1"))
    await files.remove("file-a")
    later = NOON + 2 * DAY
    await files.sweep(later)
    assert sorted(f.id for f in await files.list()) == ["file-d", "file-in"]
    await batches.end(batch("batch_1"), BatchState.FAILED, later, {})
    await files.sweep(later)
    assert [f.id for f in await files.list()] == ["file-d"]
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(FileChunkRow)) == 1


async def test_pages_of_files_follow_each_other(files: FileStore) -> None:
    for i, minutes in enumerate([0, 1, 1, 2]):
        await written(files, file(f"file-{i}", minutes, "batch" if i else "batch_output"), b"")
    names = [f.id for f in await files.list()]
    assert names == ["file-3", "file-2", "file-1", "file-0"]
    for i in range(3):
        [found] = await files.list(after=names[i], limit=1)
        assert found.id == names[i + 1]
        [found] = await files.list(after=names[i + 1], limit=1, newest_first=False)
        assert found.id == names[i]
    assert [f.id for f in await files.list(purpose="batch_output")] == ["file-0"]
    with pytest.raises(UnknownFile):
        await files.list(after="file-none")


async def test_a_batch_is_kept(batches: BatchStore) -> None:
    made = batch("batch_1", metadata={"a": "b"}, output_ttl_s=3600)
    await batches.add(made)
    assert await batches.get("batch_1") == made
    with pytest.raises(UnknownBatch):
        await batches.get("batch_2")
    assert await batches.user_of("file-in") == "batch_1"
    assert await batches.user_of("file-other") is None


async def test_a_batch_moves_only_from_where_it_may(batches: BatchStore) -> None:
    await batches.add(batch("batch_1"))
    going = (BatchState.VALIDATING,)
    moved = await batches.move(
        "batch_1", going, BatchState.IN_PROGRESS, NOON + DAY, counts=Counts(7)
    )
    assert moved is not None
    assert (moved.state, moved.counts.total) == (BatchState.IN_PROGRESS, 7)
    assert moved.times == {"in_progress": NOON + DAY}
    assert await batches.move("batch_1", going, BatchState.CANCELLING, NOON) is None
    assert await batches.get("batch_1") == moved


async def test_of_two_moves_at_once_one_is_made(batches: BatchStore) -> None:
    await batches.add(batch("batch_1"))
    going, to = (BatchState.VALIDATING,), (BatchState.IN_PROGRESS, BatchState.CANCELLING)
    moved = await asyncio.gather(
        *(batches.move("batch_1", going, to[i % 2], NOON) for i in range(6))
    )
    assert sum(m is not None for m in moved) == 1


async def test_a_batch_ends_with_its_files_or_not_at_all(
    files: FileStore, batches: BatchStore
) -> None:
    await batches.add(batch("batch_1"))
    writer = FileWriter(files, file("file-out"))
    await writer.write(b"{}\n")
    await writer.flush()
    done = batch(
        "batch_1",
        counts=Counts(3, 2, 1),
        usage=Usage(5, 7),
        problems=(Problem("code", "message", None, 4),),
        output_file="file-out",
    )
    ended = [
        await batches.end(done, state, NOON, {"file-out": 3})
        for state in (BatchState.COMPLETED, BatchState.EXPIRED)
    ]
    assert ended == [True, False]
    found = await batches.get("batch_1")
    assert (found.state, found.counts, found.usage) == (
        BatchState.COMPLETED,
        Counts(3, 2, 1),
        Usage(5, 7),
    )
    assert (found.problems, found.output_file) == (done.problems, "file-out")
    assert await read(files, "file-out") == b"{}\n"


async def test_one_works_on_a_batch_at_a_time(batches: BatchStore) -> None:
    await batches.add(batch("batch_1"))
    taken = await asyncio.gather(*(batches.take("batch_1", f"p{i}") for i in range(5)))
    assert taken.count(True) == 1
    mine = f"p{taken.index(True)}"
    assert await batches.take("batch_1", mine)
    assert not await batches.take("batch_1", "other")
    assert [owner for _, owner in await batches.going()] == [mine]
    assert await batches.take("batch_1", "other", instead_of=mine)
    await batches.give_up("batch_1", mine)
    assert not await batches.take("batch_1", mine)
    await batches.give_up("batch_1", "other")
    assert await batches.take("batch_1", mine)


async def test_pages_of_batches_follow_each_other(batches: BatchStore) -> None:
    for i, minutes in enumerate([0, 1, 1]):
        await batches.add(batch(f"batch_{i}", minutes))
    assert [b.id for b in await batches.newest(9)] == ["batch_2", "batch_1", "batch_0"]
    assert [b.id for b in await batches.newest(1, after="batch_2")] == ["batch_1"]
    assert [b.id for b, _ in await batches.going()] == ["batch_0", "batch_1", "batch_2"]
    await batches.end(batch("batch_1"), BatchState.CANCELLED, NOON, {})
    assert [b.id for b, _ in await batches.going()] == ["batch_0", "batch_2"]


@pytest.mark.parametrize("url", ["postgresql://x@127.0.0.1:1/x", "sqlite:////proc/none/x.sqlite"])
async def test_a_database_that_is_away_is_told(url: str) -> None:
    database = Database(url)
    with pytest.raises(StoreUnavailable):
        await FileStore(database).get("file-a")
    with pytest.raises(StoreUnavailable):
        await BatchStore(database).going()
    await database.close()


# --- on this machine's disk ---------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b"{}"]), max_size=40),
    st.lists(st.integers(1, 5), max_size=8),
)
def test_lines_are_found_however_the_pieces_fall(parts: list[bytes], cuts: list[int]) -> None:
    body, folder = b"".join(parts), Path(tempfile.gettempdir())
    found = Spool(folder)
    start = 0
    for cut in cuts:
        found._add(body[start : start + cut])
        start += cut
    found._add(body[start:])
    found._end(found._at)
    wanted = [(i, line) for i, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    assert [(found.numbers[i], found.read(i)) for i in range(len(found))] == wanted
    found.close()


async def test_a_spool_leaves_nothing_behind(files: FileStore, tmp_path: Path) -> None:
    await written(files, file("file-a"), b"one\n\ntwo")
    found = await Spool.of(files, "file-a", tmp_path / "spool")
    assert (len(found), found.read(1), list(found.numbers)) == (2, b"two", [1, 3])
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("body", [b"x\n" * 11, b"\n" * 21])
async def test_too_many_lines_are_refused(
    files: FileStore, tmp_path: Path, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MOST_LINES", 10)
    monkeypatch.setattr(file_store, "CHUNK", 4)
    await written(files, file("file-a"), body)
    with pytest.raises(TooManyLines):
        await Spool.of(files, "file-a", tmp_path)
