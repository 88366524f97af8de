"""From every revision that was ever released to the newest, with what was stored meanwhile."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from coterie.db import Database
from coterie.types import ExpertKind
from orchestrator import schema
from skills.expert_store import ExpertStore

T = TypeVar("T")
Rows = Mapping[str, list[dict[str, Any]]]
REVISIONS = schema.revisions()
GONE = {"estimates"}
"""Tables that a migration drops on purpose: estimates follow from graded answers."""
START = datetime(2026, 1, 1, tzinfo=UTC)
READ = {"kind": "vllm", "source": "managed", "defaults": {"stop": []}, "engine_args": {}}
"""What Coterie reads back in the test; of all else it is enough that it is still there."""
LISTS = {"tags", "examples", "endpoints", "skills", "choices", "keywords"}


def to(revision: str) -> Callable[[sa.Connection], None]:
    return lambda connection: command.upgrade(schema._config(connection), revision)


def tables(connection: sa.Connection) -> list[sa.Table]:
    """Those of Coterie's, as they are at this revision."""
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def filled(connection: sa.Connection, *numbers: int) -> Rows:
    """A row for each of ``numbers``, unlike the others, in every table there is; all there are."""
    there = tables(connection)
    for table in there:
        for number in numbers:
            row = {column.name: _value(column, number) for column in table.columns}
            connection.execute(sa.insert(table), row)
    return rows(connection, there)


def _value(column: sa.Column[Any], number: int) -> Any:
    for key in column.foreign_keys:
        return _value(key.column, number)
    if column.name in READ:
        return READ[column.name]
    kind = column.type
    if isinstance(kind, sa.JSON):
        if column.table.name == "routes":
            return {"id": f"id-{number}", "created_at": _day(number).isoformat()}
        return sa.null() if column.nullable else [] if column.name in LISTS else {"a": number}
    if isinstance(kind, sa.DateTime):
        return _day(number)
    if isinstance(kind, sa.Boolean):
        return number % 2 == 0
    if isinstance(kind, sa.LargeBinary):
        return bytes([number])
    if isinstance(kind, (sa.Integer, sa.Numeric, sa.Double)):
        return number
    assert isinstance(kind, sa.String), f"{column!r} is of a kind that this test does not know"
    return f"{column.name}-{number}".replace("_", "-")


def _day(number: int) -> datetime:
    return START + timedelta(days=number)


def rows(connection: sa.Connection, of: Sequence[sa.Table]) -> Rows:
    """Everything that is stored."""
    return {
        table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        for table in of
    }


def assert_kept(before: Rows, after: Rows) -> None:
    """Whatever was there still is, in the columns there still are."""
    assert before.keys() - after.keys() <= GONE
    for name in before.keys() & after.keys():
        for row in before[name]:
            still = row.keys() & (after[name][0].keys() if after[name] else set())
            wanted = {column: row[column] for column in still}
            assert still == row.keys(), f"{name} has lost columns, or all its rows"
            found = [{column: one[column] for column in still} for one in after[name]]
            assert wanted in found, name


def newest(connection: sa.Connection) -> Rows:
    """Everything that is stored, in exactly the tables that are declared."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    assert compare_metadata(context, schema.metadata()) == []
    return rows(connection, tables(connection))


async def run(url: str, work: Callable[[sa.Connection], T]) -> T:
    database = Database(url, pool_size=1, enforce_foreign_keys=False)
    try:
        async with database.engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await database.close()


async def assert_readable(url: str, names: set[str]) -> None:
    database = Database(url)
    try:
        experts = await ExpertStore(database).list()
    finally:
        await database.close()
    assert {e.name for e in experts} == names
    assert {e.kind for e in experts} == {ExpertKind.VLLM}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file of each revision, as that left it."""
    folder = tmp_path_factory.mktemp("released")

    async def walk() -> None:
        for revision in REVISIONS:
            await run(f"sqlite:///{folder}/walk", to(revision))
            shutil.copy(folder / "walk", folder / revision)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, walk()).result()
    return folder


@pytest.mark.parametrize("revision", REVISIONS)
async def test_sqlite_of_any_revision_comes_to_the_newest_with_all_it_holds(
    revision: str, released: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/coterie.sqlite"
    shutil.copy(released / revision, tmp_path / "coterie.sqlite")
    before = await run(url, lambda connection: filled(connection, 1, 2))
    assert all(len(found) == 2 for found in before.values())
    assert await schema.upgrade(url) == REVISIONS[-1]
    assert_kept(before, await run(url, newest))
    await assert_readable(url, {"name-1", "name-2"})


async def test_postgresql_walks_from_revision_to_revision_with_all_that_each_brought(
    postgres_url: str,
) -> None:
    """One walk: at every revision something is stored, and nothing is lost until the newest."""
    brought: list[Rows] = []
    for number, revision in enumerate(REVISIONS, start=1):

        def step(connection: sa.Connection, number: int = number, revision: str = revision) -> Rows:
            to(revision)(connection)
            return filled(connection, number)

        brought.append(await run(postgres_url, step))
    after = await run(postgres_url, newest)
    for before in brought:
        assert_kept(before, after)
    await assert_readable(postgres_url, {f"name-{n}" for n in range(1, len(REVISIONS) + 1)})
