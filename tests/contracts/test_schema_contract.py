"""The migrations make exactly the tables that are declared, on both databases."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from coterie.db import Database
from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, Reading
from orchestrator import schema
from orchestrator.traces.filters import Filters
from orchestrator.traces.record_store import RecordStore
from orchestrator.traces.store import TraceStore
from skills.answer_store import AnswerStore
from skills.expert_store import ExpertStore


async def test_migrations_leave_nothing_to_autogenerate(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata()))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrade_sets_up_an_empty_database(empty_database_url: str) -> None:
    assert await schema.current(empty_database_url) is None
    assert await schema.upgrade(empty_database_url) == schema.head()
    assert await schema.current(empty_database_url) == schema.head()
    await schema.ensure(empty_database_url)


async def test_upgrade_again_keeps_the_data(database: Database, database_url: str) -> None:
    store = ExpertStore(database)
    await store.add(Expert("adam", ExpertKind.VLLM, "model"))
    assert await schema.upgrade(database_url) == schema.head()
    assert [expert.name for expert in await store.list()] == ["adam"]


async def test_answers_from_before_snapshots_are_kept(empty_database_url: str) -> None:
    """Revision 0001 had no readings, and estimates that follow from the answers."""
    database = Database(empty_database_url, enforce_foreign_keys=False)

    def fill(connection: Connection) -> None:
        command.upgrade(schema._config(connection), "0001")
        connection.execute(text(OLD_EXPERT))
        for item, extracted in (("1", "'B'"), ("2", "NULL")):
            connection.execute(text(OLD_ANSWER.format(item=item, extracted=extracted)))
        connection.execute(text(OLD_ESTIMATE))

    async with database.engine.begin() as connection:
        await connection.run_sync(fill)
    await schema.upgrade(empty_database_url)
    found = await AnswerStore(database).answers()
    assert [(a.item, a.extracted, a.reading) for a in found] == [
        ("1", "B", Reading.STATED),
        ("2", None, Reading.NOTHING),
    ]
    await ExpertStore(database).remove("adam")
    await database.close()


OLD_EXPERT = """
    INSERT INTO experts VALUES ('adam', 'vllm', 'm', NULL, NULL, NULL, '', NULL, NULL, NULL, 0, 0,
    NULL, '{"stop": []}', '{}', '[]', 'managed', true, false, '2026-01-02', '2026-01-02')
""".replace(":", "\\:")
OLD_ANSWER = """
    INSERT INTO graded_answers VALUES ({item}, '', 'adam', 'demo', '{item}', '[]', 'B', {extracted},
    true, 1, 1, 0.5, '2026-01-02')
"""
OLD_ESTIMATE = "INSERT INTO estimates VALUES ('adam', '*', 0.5, 0.1, 2, '2026-01-02')"


async def test_tasks_that_share_their_items_get_one_name(empty_database_url: str) -> None:
    """Before revision 0007 "mmlu_pro" and "mmlu-pro" were two tasks; the newer answer stays."""
    database = Database(empty_database_url, enforce_foreign_keys=False)

    def fill(connection: Connection) -> None:
        command.upgrade(schema._config(connection), "0006")
        known = [
            ("mmlu_pro", "1", "old", "2026-01-01"),
            ("mmlu-pro", "1", "new", "2026-01-02"),
            ("mmlu_pro", "2", "alone", "2026-01-01"),
            ("gpqa-main", "3", "newest", "2026-01-03"),
            ("gpqa-diamond", "3", "before", "2026-01-02"),
            ("demo", "4", "as it was", "2026-01-02"),
            ("gsm8k", "gsm8k/gsm8k-main-test-#7", "recorded", "2026-01-01"),
            ("gsm8k", "gsm8k/gsm8k-main-test-#8", "recorded", "2026-01-01"),
            ("gsm8k", "gsm8k/test/8", "profiled", "2026-01-02"),
        ]
        connection.execute(text(EXPERT_OF_0006))
        for id, (task, item, said, day) in enumerate(known):
            named = {"id": id, "task": task, "item": item, "said": said, "day": day}
            connection.execute(text(ANSWER_OF_0006.format(**named)))
            connection.execute(text(QUESTION_OF_0006.format(**named)))

    async with database.engine.begin() as connection:
        await connection.run_sync(fill)
    await schema.upgrade(empty_database_url)
    store = AnswerStore(database)
    wanted = {
        ("mmlu-pro", "1", "new"),
        ("mmlu-pro", "2", "alone"),
        ("gpqa", "3", "newest"),
        ("demo", "4", "as it was"),
        ("gsm8k", "gsm8k/test/7", "recorded"),
        ("gsm8k", "gsm8k/test/8", "profiled"),
    }
    assert {(a.task, a.item, a.extracted) for a in await store.answers()} == wanted
    questions, _ = await store.evidence()
    assert {(q.task, q.item, q.text) for q in questions} == wanted
    await database.close()


EXPERT_OF_0006 = """
    INSERT INTO experts (name, kind, model, description, prompt_price, completion_price, defaults,
    engine_args, tags, source, enabled, switched_off, created_at, updated_at, examples)
    VALUES ('adam', 'vllm', 'm', '', 0, 0, '{}', '{}', '[]', 'managed', true, false, '2026-01-02',
    '2026-01-02', '[]')
"""
ANSWER_OF_0006 = """
    INSERT INTO graded_answers (id, run, expert, task, item, skills, output, extracted, reading,
    correct, prompt_tokens, completion_tokens, latency_s, created_at) VALUES ({id}, '', 'adam',
    '{task}', '{item}', '[]', '', '{said}', 1, true, 1, 1, 0.5, '{day}')
"""
QUESTION_OF_0006 = """
    INSERT INTO questions (task, item, text, sha256, category, target, options, choices, family,
    skills, updated_at) VALUES ('{task}', '{item}', '{said}', '', '', '', 0, '[]', '', '[]',
    '{day}')
"""


async def test_why_records_from_before_are_found_in_their_order(empty_database_url: str) -> None:
    """Before revision 0010 they were found by their time alone."""
    database = Database(empty_database_url, enforce_foreign_keys=False)

    def fill(connection: Connection) -> None:
        command.upgrade(schema._config(connection), "0009")
        for id, day in (("b", "2026-01-02"), ("a", "2026-01-02"), ("c", "2026-01-01")):
            connection.execute(text(ROUTE_OF_0009.format(id=id, day=day)))

    async with database.engine.begin() as connection:
        await connection.run_sync(fill)
    await schema.upgrade(empty_database_url)
    page = await RecordStore(database).page(Filters(strategy="symbolic"))
    assert [r["id"] for r in page.records] == ["b", "a", "c"]
    await TraceStore(database).save([{"id": "a", "created_at": "2026-01-03T00:00:00+00:00"}])
    page = await RecordStore(database).page(Filters())
    assert [r["id"] for r in page.records] == ["a", "b", "c"]
    await database.close()


ROUTE_OF_0009 = """
    INSERT INTO routes (id, created_at, strategy, model, status, record) VALUES
    ('{id}', '{day} 00:00:00.000000+00', 'symbolic', 'coterie', 'answered',
    '{{"id": "{id}", "created_at": "{day}T00:00:00+00:00"}}')
""".replace(":", "\\:")


async def test_upgrades_at_once_do_not_collide(empty_database_url: str) -> None:
    done = await asyncio.gather(*(schema.upgrade(empty_database_url) for _ in range(3)))
    assert done == [schema.head()] * 3


async def test_a_database_that_was_never_set_up_is_set_up(empty_database_url: str) -> None:
    await schema.ensure(empty_database_url)
    assert await schema.current(empty_database_url) == schema.head()


async def test_a_database_that_is_behind_is_refused(database_url: str) -> None:
    await set_revision(database_url, "0000")
    with pytest.raises(ConfigurationError, match=r"revision '0000'.*run `coterie db upgrade`"):
        await schema.ensure(database_url)


async def set_revision(database_url: str, revision: str) -> None:
    database = Database(database_url)
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    await database.close()


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    await set_revision(database_url, "9999")
    with pytest.raises(ConfigurationError, match="'9999'"):
        await schema.ensure(database_url)
    with pytest.raises(ConfigurationError, match="newer Coterie"):
        await schema.upgrade(database_url)


async def test_a_database_out_of_reach_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://coterie:hunter2@/coterie?host={tmp_path}"
    with pytest.raises(ConfigurationError, match="check DATABASE_URL") as caught:
        await schema.ensure(url)
    assert "hunter2" not in str(caught.value)


async def test_downgrade_removes_every_table(database: Database) -> None:
    def downgrade(connection: Connection) -> list[str]:
        command.downgrade(schema._config(connection), "base")
        return inspect(connection).get_table_names()

    async with database.engine.begin() as connection:
        assert await connection.run_sync(downgrade) == ["alembic_version"]


def test_migrations_of_an_installed_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "coterie"
    package.mkdir()
    monkeypatch.setattr(schema.coterie, "__file__", str(package / "__init__.py"))
    assert schema.migrations_dir() == tmp_path / "migrations"
    (package / "_migrations").mkdir()
    assert schema.migrations_dir() == package / "_migrations"
