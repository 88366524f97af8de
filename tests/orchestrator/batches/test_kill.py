"""A server that is killed in the middle of a batch, again and again, loses nothing of it."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from coterie.db import Database
from orchestrator.batches.batch import BatchState
from orchestrator.batches.file_store import FileStore
from orchestrator.batches.service import BatchService
from orchestrator.batches.store import BatchStore
from orchestrator.jobs import record
from orchestrator.jobs.tables import PromptRow, UnitRow

MORTAL = Path(__file__).parent / "mortal.py"
LINES, ROUNDS, WAIT_S = 300, 3, 60.0
UNITS = LINES + LINES // 3
"""Every third line is put to both experts."""


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.long) for s in (1, 2, 3))])
async def test_a_server_that_is_killed_loses_nothing(
    sqlite_url: str, tmp_path: Path, line: Any, seed: int
) -> None:
    rng, log = random.Random(seed), tmp_path / "asked.log"
    log.touch()
    database = Database(sqlite_url)
    batches, files = BatchStore(database), FileStore(database)
    models = ("ann", "bob", "coterie/all")
    lines = [line(f"n{i}", f"How many is {i}?", model=models[i % 3]) for i in range(LINES)]
    body = "".join(json.dumps(found) + "\n" for found in lines).encode()
    callers = BatchService(_Nobody(batches, files))  # type: ignore[arg-type]
    file = await callers.upload("in.jsonl", pieces(body))
    made = await callers.create(file.id)
    for round_ in range(ROUNDS):
        kept, before = await stored(database), asked(log)
        assert len(kept) < UNITS
        server = await start(tmp_path, log, 0.02)
        await until_asked(log, rng.randrange(*(UNITS * r // ROUNDS for r in (round_, round_ + 1))))
        server.kill()
        await server.wait()
        again = {what for what in kept if asked(log)[what] > before[what]}
        assert again == set()
    server = await start(tmp_path, log, 0.0)
    async with asyncio.timeout(WAIT_S):
        while not (found := await batches.get(made.id)).state.is_over:
            await asyncio.sleep(0.02)
    server.terminate()
    await server.wait()
    assert found.state is BatchState.COMPLETED
    assert (found.counts.total, found.counts.completed) == (LINES, LINES)
    assert found.output_file is not None
    output = b"".join([part async for part in files.contents(found.output_file)])
    told = [json.loads(text) for text in output.splitlines()]
    assert [t["custom_id"] for t in told] == [f"n{i}" for i in range(LINES)]
    assert len(await stored(database)) == UNITS
    await database.close()


class _Nobody:
    """Stands where the clerk would be: this process only asks for a batch."""

    def __init__(self, batches: BatchStore, files: FileStore) -> None:
        self.batches, self.files = batches, files


async def start(home: Path, log: Path, pause_s: float) -> asyncio.subprocess.Process:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        str(MORTAL),
        str(home),
        str(log),
        str(pause_s),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert server.stdout is not None
    async with asyncio.timeout(WAIT_S):
        assert await server.stdout.readline() == b"ready\n"
    return server


async def until_asked(log: Path, times: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while asked(log).total() < times:
            await asyncio.sleep(0.005)


def asked(log: Path) -> Counter[str]:
    """How often each expert was asked each question."""
    return Counter(log.read_text().splitlines())


async def stored(database: Database) -> set[str]:
    """What has an answer that is stored."""
    query = select(UnitRow.expert, PromptRow.body).join(PromptRow, PromptRow.key == UnitRow.prompt)
    async with database.read() as session:
        rows = await session.execute(query.where(UnitRow.completed_at.is_not(None)))
        return {f"{row.expert} {record.question_of(row.body).text}" for row in rows}
