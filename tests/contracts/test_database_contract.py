"""What every database does for the stores above it."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from coterie.db import Database, parse_url
from coterie.errors import ConfigurationError
from orchestrator.traces.tables import RouteRow
from skills.tables import ActiveSnapshotRow

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def row(id: str, *, at: datetime = NOON, record: dict[str, object] | None = None) -> RouteRow:
    return RouteRow(
        id=id, created_at=at, strategy="s", model="m", status="answered", record=record or {}
    )


async def count(database: Database) -> int:
    async with database.read() as session:
        return int(await session.scalar(text("SELECT count(*) FROM routes")) or 0)


async def test_a_transaction_commits_at_its_end(database: Database) -> None:
    async with database.transaction() as session:
        session.add(row("a"))
    assert await count(database) == 1


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with database.transaction() as session:
            session.add(row("a"))
            await session.flush()
            raise ZeroDivisionError
    assert await count(database) == 0


async def test_a_transaction_that_is_cancelled_leaves_nothing(database: Database) -> None:
    begun = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as session:
            session.add(row("a"))
            await session.flush()
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with database.transaction() as session:
        session.add(row("b"))
    assert await count(database) == 1


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.transaction() as session:
        session.add(row("a"))
        await session.flush()
        async with asyncio.timeout(5):
            assert await count(database) == 0


async def test_what_a_reader_changes_is_not_kept(database: Database) -> None:
    with suppress(DBAPIError):  # PostgreSQL says so
        async with database.read() as session:
            session.add(row("a"))
            await session.flush()
    assert await count(database) == 0


async def test_twenty_writers_at_once_all_succeed(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as session:
            seen = await session.scalar(text("SELECT count(*) FROM routes"))
            await asyncio.sleep(0)
            session.add(row(f"{number}", record={"seen": seen}))

    await asyncio.gather(*(write(n) for n in range(20)))
    assert await count(database) == 20


async def test_writers_of_two_processes_wait_for_one_another(database_url: str) -> None:
    one, other = Database(database_url), Database(database_url)

    async def write(database: Database, number: int) -> None:
        async with database.transaction() as session:
            await session.scalar(text("SELECT count(*) FROM routes"))
            session.add(row(f"{id(database)}-{number}"))

    try:
        await asyncio.gather(*(write(d, n) for n in range(20) for d in (one, other)))
        assert await count(one) == 40
    finally:
        await one.close()
        await other.close()


async def test_times_come_back_in_utc(database: Database) -> None:
    async with database.transaction() as session:
        session.add(row("a", at=NOON.astimezone(timezone(timedelta(hours=5)))))
    async with database.read() as session:
        found = await session.get(RouteRow, "a")
    assert found is not None
    assert found.created_at == NOON
    assert found.created_at.tzinfo is UTC


async def test_a_time_without_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="no time zone"):
        async with database.transaction() as session:
            session.add(row("a", at=datetime(2026, 1, 2)))


async def test_text_that_a_database_cannot_hold_is_mended(database: Database) -> None:
    async with database.transaction() as session:
        session.add(row("a\x00b\ud800c"))
    async with database.read() as session:
        assert await session.scalar(text("SELECT id FROM routes")) == "a\ufffdb?c"


async def test_json_keeps_any_string_and_the_order_of_its_keys(database: Database) -> None:
    record = {"z": "nul \x00, half a pair \ud800, ✓", "a": [1, 1.5, None, True], "m": {}}
    async with database.transaction() as session:
        session.add(row("a", record=record))
    async with database.read() as session:
        found = await session.get(RouteRow, "a")
    assert found is not None
    assert list(found.record.items()) == list(record.items())


async def test_what_is_not_json_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="not JSON compliant"):
        async with database.transaction() as session:
            session.add(row("a", record={"x": float("nan")}))


async def test_a_row_without_its_owner_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            session.add(ActiveSnapshotRow(slot=1, name="nothing"))


async def test_ping_tells_an_open_database(database: Database) -> None:
    assert (await database.ping()).ok


async def test_ping_tells_a_database_out_of_reach(tmp_path: Path) -> None:
    database = Database(f"postgresql://u:hunter2@/name?host={tmp_path}")
    health = await database.ping()
    await database.close()
    assert not health.ok
    assert "does not answer" in health.detail
    assert "hunter2" not in health.detail + repr(database)


async def test_the_folder_of_a_file_is_made_at_the_first_use(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/deep/down/coterie.sqlite")
    assert list(tmp_path.iterdir()) == []
    assert (await database.ping()).ok
    await database.close()
    assert (tmp_path / "deep/down/coterie.sqlite").exists()


async def test_a_file_is_written_ahead(sqlite_database: Database) -> None:
    async with sqlite_database.read() as session:
        found = [
            await session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        ]
    assert found == ["wal", 1, 5000, 1]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///a/b.sqlite", "sqlite+aiosqlite:///a/b.sqlite"),
        ("sqlite+aiosqlite:////a", "sqlite+aiosqlite:////a"),
        ("postgres://u:p@h:5/n", "postgresql+asyncpg://u:p@h:5/n"),
        ("postgresql://h/n", "postgresql+asyncpg://h/n"),
        ("postgresql+asyncpg://h/n", "postgresql+asyncpg://h/n"),
        ("postgres://h/n?sslmode=require", "postgresql+asyncpg://h/n?ssl=require"),
    ],
)
def test_urls_get_the_driver_that_is_used(given: str, used: str) -> None:
    assert parse_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("mysql://u:hunter2@h/n", r"'mysql'.*sqlite:///.*postgresql://"),
        ("postgresql+psycopg2://u:hunter2@h/n", r"'postgresql\+psycopg2'"),
        ("hunter2", "is not a URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_other_urls_are_refused_without_their_password(given: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Database(given)
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


INCREMENT = text(
    "INSERT INTO routes (id, created_at, strategy, model, status, record) "
    "VALUES (:id, :at, 's', 'm', 'answered', '{}') "
    "ON CONFLICT (id) DO UPDATE SET model = 'n' RETURNING model"
).bindparams(bindparam("at", type_=DateTime(timezone=True)))


@pytest.mark.parametrize("seed", range(3))
async def test_cancelling_at_any_moment_leaves_nothing_locked(
    database: Database, seed: int
) -> None:
    """Kept exceptions keep their tracebacks, and these the cursors of what was cut short."""
    rng = random.Random(seed)

    async def write(id: str) -> None:
        async with database.transaction() as session:
            found = await session.execute(INCREMENT, {"id": id, "at": NOON})
            found.first()

    kept: list[object] = []
    for _ in range(15):
        tasks = [asyncio.create_task(write(str(i % 4))) for i in range(6)]
        for _ in range(rng.randrange(40)):
            await asyncio.sleep(0)
        for task in rng.sample(tasks, 4):
            task.cancel()
        kept += await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(4):  # under the time a locked SQLite is waited for
            await write("last")
    failed = [e for e in kept if isinstance(e, Exception)]
    assert failed == []
