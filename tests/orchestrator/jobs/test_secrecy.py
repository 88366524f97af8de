"""Nothing of a secret task is ever written down in plain text."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coterie.types import as_jsonable
from orchestrator.jobs.job import JobState


async def test_no_plain_text_in_database_logs_or_results(
    new_world: Any, jobs_kit: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world = new_world(task=jobs_kit.task(secret=True))
    world.engines["ann"].refuses = f"{jobs_kit.mark} 4:"
    world.engines["bob"].down = True
    told: list[Any] = []
    job = await world.add(strategy="all")
    assert await world.run(job, tell=told.append) is JobState.DONE
    results = await world.results(job)
    assert sum(r.correct for r in results) > 6
    await world.database.close()
    shown = json.dumps(as_jsonable([results, told, await_free(job)]))
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"colours" in written
    for text in (jobs_kit.mark, "which colour", "autumn", "Autumn", "The answer is"):
        assert text not in shown
        assert text not in caplog.text
        assert text.encode() not in written


def await_free(job: Any) -> Any:
    return replace(job, created_at=None, retry_before=None)


async def test_a_secret_item_nobody_answers_is_reported_without_its_text(
    new_world: Any, jobs_kit: Any
) -> None:
    world = new_world(task=jobs_kit.task(secret=True))
    for engine in world.engines.values():
        engine.refuses = f"{jobs_kit.mark} 4:"
    job = await world.add()
    await world.run(job)
    error = (await world.results(job))[4].error
    assert "its message is sealed" in error
    assert jobs_kit.mark not in error


async def test_what_is_sealed_is_reused_and_resumed(new_world: Any, jobs_kit: Any) -> None:
    world = new_world(task=jobs_kit.task(secret=True))
    job = await world.add(strategy="all")
    running = asyncio.create_task(world.run(job))
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    again = new_world(task=jobs_kit.task(secret=True))
    assert await again.run(job) is JobState.DONE
    second = await again.add(strategy="expert:ann")
    assert await again.run(second) is JobState.DONE
    assert all(c.reused for r in await again.results(second) for c in r.calls)


async def test_the_key_is_its_owners_alone(new_world: Any, jobs_kit: Any, tmp_path: Path) -> None:
    world = new_world(task=jobs_kit.task(size=3, secret=True))
    await world.run(await world.add())
    assert (tmp_path / "seal.key").stat().st_mode & 0o777 == 0o600
