"""How long the dashboard's queries take, each with its plan.

    PYTHONPATH=. .venv/bin/python benchmarks/dashboard/queries.py DATABASE_URL [--plans FILE]

The database is one that load.py filled; what is measured is in README.md beside this.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from benchmarks.dashboard.made_up import EXPERTS, SKILLS
from coterie.db import Database, utcnow
from orchestrator.traces.facts import Outcome
from orchestrator.traces.filters import AsExpert, Filters, Verdict
from orchestrator.traces.record_store import RecordStore
from orchestrator.traces.store import TraceStore
from orchestrator.traces.traffic import Step
from orchestrator.traces.traffic_store import TrafficStore

TIMES = 20

Ask = Callable[[], Awaitable[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="DATABASE_URL")
    parser.add_argument("--plans", type=Path, help="write every query's plan here")
    args = parser.parse_args()
    asyncio.run(measure(args.url, args.plans))


async def measure(url: str, plans: Path | None) -> None:
    """Prints a table of milliseconds."""
    database = Database(url)
    plans_by_name: dict[str, list[Plan]] = {}
    print("| query | median ms | p99 ms |\n|---|---:|---:|")
    try:
        for name, ask in queries(database).items():
            took = await timed(ask)
            print(f"| {name} | {statistics.median(took):.1f} | {max(took):.1f} |", flush=True)
            plans_by_name[name] = await plans_of(database, ask)
    finally:
        await database.close()
    if plans:
        plans.write_text(report(database.dialect, plans_by_name))


async def timed(ask: Ask) -> list[float]:
    """Milliseconds of each of :data:`TIMES`, after two that are not counted."""
    found = []
    for n in range(TIMES + 2):
        gc.collect()
        started = time.perf_counter()
        await ask()
        if n > 1:
            found.append((time.perf_counter() - started) * 1000)
    return found


def queries(database: Database) -> dict[str, Ask]:
    """Everything that pages ask of records and their sums."""
    records, traffic, traces = RecordStore(database), TrafficStore(database), TraceStore(database)
    now = utcnow()
    found: dict[str, Ask] = {}
    for name, filters in filters_of().items():
        found[f"page: {name}"] = lambda f=filters: records.page(f)  # type: ignore[misc]
        found[f"count: {name}"] = lambda f=filters: records.count(f)  # type: ignore[misc]
    month, day, hour = (
        (now - timedelta(days=30), now),
        (now - timedelta(days=1), now),
        (
            now - timedelta(hours=1),
            now,
        ),
    )
    deep = Filters(until=now - timedelta(days=20))
    return {
        **found,
        "page: 20 days back": lambda: records.page(deep),
        "page of 200, for an export": lambda: records.page(Filters(), limit=200),
        "one record": lambda: _one(traces),
        "traffic of an hour by minutes": lambda: traffic.series(*hour, Step.MINUTE),
        "traffic of a day by hours": lambda: traffic.series(*day, Step.HOUR),
        "traffic of 30 days by hours": lambda: traffic.series(*month, Step.HOUR),
        "traffic of 30 days by days": lambda: traffic.series(*month, Step.DAY),
        "strategies of 30 days": lambda: traffic.strategies(*month, Step.DAY),
        "every expert, a day": lambda: traffic.experts(*day, Step.HOUR),
        "every expert, 30 days": lambda: traffic.experts(*month, Step.DAY),
        "one expert, 30 days by hours": lambda: traffic.expert_series(
            EXPERTS[3], *month, Step.HOUR
        ),
        "one expert, 30 days by days": lambda: traffic.expert_series(EXPERTS[3], *month, Step.DAY),
    }


def filters_of() -> dict[str, Filters]:
    """What requests are filtered by: each alone, often and rarely met, and several together."""
    often, rare = EXPERTS[0], EXPERTS[-1]
    return {
        "everything": Filters(),
        "strategy": Filters(strategy="auto"),
        "model": Filters(model=rare),
        "failed": Filters(outcomes=(Outcome.FAILED,)),
        "failed or written": Filters(outcomes=(Outcome.FAILED, Outcome.WRITTEN)),
        "fallbacks (none)": Filters(outcomes=(Outcome.FALLBACK,)),
        "expert, often asked": Filters(expert=often),
        "expert, rarely asked": Filters(expert=rare),
        "expert that wrote": Filters(expert=rare, as_expert=AsExpert.WROTE),
        "skill, frequent": Filters(skill=SKILLS[0]),
        "skill, rare": Filters(skill=SKILLS[-1]),
        "key": Filters(key="key-07"),
        "agreement below 0.3": Filters(agreement_below=0.3),
        "cost from 0.05 (none)": Filters(cost_from=0.05),
        "cost from 0.03": Filters(cost_from=0.03),
        "latency from 30 s": Filters(latency_from_ms=30_000),
        "with feedback": Filters(feedback=tuple(Verdict)),
        "expert and skill": Filters(expert=often, skill=SKILLS[0]),
        "expert, failed, key": Filters(expert=often, outcomes=(Outcome.FAILED,), key="key-07"),
        "strategy and cost from 0.03": Filters(strategy="auto", cost_from=0.03),
        "rare skill and rare expert": Filters(expert=rare, skill=SKILLS[-1]),
        "slow and disagreed, one key": Filters(
            key="key-07", latency_from_ms=5000, agreement_below=0.5
        ),
        "strategy and model that never meet": Filters(strategy="auto", model="coterie/coe"),
    }


async def _one(traces: TraceStore) -> None:
    [newest] = await traces.recent(1)
    assert await traces.get(newest["id"])


@dataclass(frozen=True)
class Plan:
    """A statement, shortened, and what the database says it does for it."""

    statement: str
    steps: tuple[str, ...]


async def plans_of(database: Database, ask: Ask) -> list[Plan]:
    """The plan of each statement that ``ask`` executes."""
    seen: list[tuple[str, Any]] = []

    def see(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    reader = database._reader.sync_engine
    event.listen(reader, "before_cursor_execute", see)
    try:
        await ask()
    finally:
        event.remove(reader, "before_cursor_execute", see)
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN (COSTS OFF)"
    plans = []
    async with database._reader.connect() as connection:
        for statement, parameters in seen:
            found = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
            steps = tuple(shortened_step(str(row[-1])) for row in found)
            plans.append(Plan(shortened(statement), steps))
    return plans


def shortened(statement: str) -> str:
    """Long lists left out, of values as of columns."""
    one_line = " ".join(statement.split())
    columns = re.sub(r"SELECT (?:[\w.]+(?: AS \w+)?, ){4,}[\w.]+(?: AS \w+)?", "SELECT …", one_line)
    return re.sub(r"IN \((?:[^(),]+, ){3,}[^(),]+\)", "IN (…)", columns)


def shortened_step(step: str) -> str:
    """Long lists of values left out."""
    return re.sub(r"ANY \('\{[^}]{60,}\}'", "ANY ('{…}'", step)


def report(dialect: str, plans: Mapping[str, Sequence[Plan]]) -> str:
    """Every plan once, by the query that first needed it."""
    lines = [f"# Query plans, {dialect}", ""]
    known: dict[Plan, str] = {}
    for name, each in plans.items():
        lines += [f"## {name}", ""]
        for plan in each:
            if (first := known.setdefault(plan, name)) != name:
                lines += [f"As in *{first}*: `{plan.statement[:60]}…`", ""]
                continue
            lines += ["```", plan.statement, "", *(f"  {step}" for step in plan.steps), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
