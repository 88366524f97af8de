"""Why-records are found by every filter, newest first, page by page, in both databases."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from coterie.db import Database
from orchestrator.traces import record_store
from orchestrator.traces.facts import Outcome, facts_of
from orchestrator.traces.filters import AsExpert, Filters
from orchestrator.traces.record_store import RecordStore
from orchestrator.traces.store import TraceStore

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
EXPERTS = ("ada", "bob", "cyd")
Record = dict[str, Any]


def record(n: int, rng: random.Random) -> Record:
    """The record of a request that was made ``n`` minutes after noon, made up."""
    asked = rng.sample(EXPERTS, rng.randint(1, 3))
    made = {
        "id": f"r{n}",
        "created_at": (NOON + timedelta(minutes=n)).isoformat(),
        "strategy": rng.choice(["symbolic", "coe"]),
        "model": rng.choice(["coterie", "ada"]),
        "key": rng.choice(["k1", "k2"]),
        "skills": [{"skill": s, "weight": 0.5} for s in rng.sample(["sql", "law", "art"], 2)],
        "chosen": asked,
        "cost_usd": rng.choice([0.0, 0.0015, 0.02, 3.0]),
        "calls": [_call(expert) for expert in asked],
    }
    if rng.random() < 0.2:
        return {**made, "status": "failed", "error": "no"}
    return {
        **made,
        "status": "answered",
        "answers": [{"expert": expert, "text": "42"} for expert in asked],
        "votes": {"42": asked},
        "answer": {"expert": asked[0], "text": "42"},
        "agreement": rng.choice([0.2, 0.55, 0.95]),
        "synthesis": {"expert": "cyd", "text": "42"} if rng.random() < 0.3 else None,
        "steps_ms": {"ask": rng.choice([30.0, 700.0, 9000.0])},
    }


def _call(expert: str) -> Record:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    return {"expert": expert, "role": "answer", "usage": usage, "cost_usd": 0.1, "latency_ms": 30.0}


@pytest.fixture
async def records(database: Database) -> list[Record]:
    rng = random.Random(6)
    made = [record(n, rng) for n in range(60)]
    await TraceStore(database).save(made)
    return made[::-1]


def had(expert: str, part: AsExpert) -> Callable[[Record], bool]:
    return lambda r: any((expert, p) in facts_of(r).experts for p in part.parts)


CASES: dict[str, tuple[Filters, Callable[[Record], bool]]] = {
    "everything": (Filters(), lambda r: True),
    "time": (
        Filters(since=NOON + timedelta(minutes=9), until=NOON + timedelta(minutes=30)),
        lambda r: 9 <= int(r["id"][1:]) < 30,
    ),
    "strategy": (Filters(strategy="coe"), lambda r: r["strategy"] == "coe"),
    "model": (Filters(model="ada"), lambda r: r["model"] == "ada"),
    "key": (Filters(key="k2"), lambda r: r["key"] == "k2"),
    "outcome": (Filters(outcomes=(Outcome.FAILED,)), lambda r: r["status"] == "failed"),
    "outcomes": (
        Filters(outcomes=(Outcome.FAILED, Outcome.WRITTEN)),
        lambda r: r["status"] == "failed" or bool(r["synthesis"]),
    ),
    "skill": (Filters(skill="law"), lambda r: "law" in facts_of(r).skills),
    "agreement": (Filters(agreement_below=0.57), lambda r: r.get("agreement", 1) < 0.57),
    "cost": (Filters(cost_from=0.0012), lambda r: r["cost_usd"] >= 0.0012),
    "latency": (
        Filters(latency_from_ms=600),
        lambda r: r.get("steps_ms", {"ask": 0})["ask"] >= 600,
    ),
    **{
        f"expert {part}": (Filters(expert="cyd", as_expert=part), had("cyd", part))
        for part in AsExpert
    },
    "several": (
        Filters(expert="ada", skill="law", strategy="coe", cost_from=0.001, key="k1"),
        lambda r: (
            had("ada", AsExpert.ASKED)(r)
            and "law" in facts_of(r).skills
            and (r["strategy"], r["key"]) == ("coe", "k1")
            and r["cost_usd"] >= 0.001
        ),
    ),
    "nothing": (Filters(skill="unheard of"), lambda r: False),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_filter_finds_what_passes_and_nothing_else(
    case: str, records: list[Record], database: Database
) -> None:
    filters, passes = CASES[case]
    wanted = [r["id"] for r in records if passes(r)]
    assert wanted or case == "nothing"
    assert await ids(RecordStore(database), filters, 7) == wanted


@pytest.mark.parametrize("case", CASES)
async def test_what_passes_is_counted(case: str, records: list[Record], database: Database) -> None:
    filters, passes = CASES[case]
    found = await RecordStore(database).count(filters)
    assert (found.number, found.exact) == (sum(map(passes, records)), True)


@pytest.mark.parametrize("case", CASES)
async def test_a_page_that_looks_at_few_entries_misses_none(
    case: str, records: list[Record], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_store, "LOOK", 3)
    monkeypatch.setattr(record_store, "PROBE", 2)
    filters, passes = CASES[case]
    assert await ids(RecordStore(database), filters, 2) == [r["id"] for r in records if passes(r)]


async def test_more_than_is_counted_is_told(
    records: list[Record], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_store, "COUNTED", 20)
    store = RecordStore(database)
    found = await store.count(Filters())
    assert (found.number, found.exact) == (20, False)
    found = await store.count(Filters(strategy="coe", key="k1"))
    assert found.number <= 20
    assert not found.exact


async def test_a_record_that_is_overwritten_is_found_by_what_it_is_now(
    database: Database,
) -> None:
    rng = random.Random(1)
    first, then = record(1, rng), {**record(2, rng), "id": "r1", "skills": [{"skill": "new"}]}
    traces, store = TraceStore(database), RecordStore(database)
    await traces.save([first])
    await traces.save([then])
    assert await ids(store, Filters(), 9) == ["r1"]
    assert await ids(store, Filters(skill="new"), 9) == ["r1"]
    assert await ids(store, Filters(skill=first["skills"][0]["skill"]), 9) == []


async def test_two_of_one_moment_are_both_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.traces.store.moment_of", lambda at, id: 5)
    rng = random.Random(1)
    traces = TraceStore(database)
    await traces.save([record(1, rng), record(2, rng)])
    await traces.save([record(3, rng)])
    assert await ids(RecordStore(database), Filters(), 9) == ["r3", "r2", "r1"]


async def ids(store: RecordStore, filters: Filters, limit: int) -> list[str]:
    """Everything that is found, page by page."""
    found: list[str] = []
    cursor = None
    for _ in range(200):
        page = await store.page(filters, limit=limit, cursor=cursor)
        assert len(page.records) <= limit
        found += [r["id"] for r in page.records]
        cursor = page.cursor
        if cursor is None:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("case", CASES)
async def test_an_index_answers_every_filter(case: str, sqlite_database: Database) -> None:
    """On SQLite, whose plans are the same for few records and many."""
    seen: list[tuple[str, Any]] = []
    store, reader = RecordStore(sqlite_database), sqlite_database._reader

    @event.listens_for(reader.sync_engine, "before_cursor_execute")
    def see(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    filters, _ = CASES[case]
    await store.page(filters, cursor=1 << 62)
    await store.count(filters)
    asked = list(seen)
    async with reader.connect() as connection:
        for statement, parameters in asked:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [str(row[-1]) for row in plan]
            whole = [s for s in steps if re.match(r"SCAN (?:route|traffic)", s)]
            # Without any bound, what is newest is read from the end.
            allowed = [s for s in whole if "COVERING INDEX" in s or s == "SCAN route_heads"]
            assert whole == (allowed if case == "everything" else []), "\n".join(steps)
