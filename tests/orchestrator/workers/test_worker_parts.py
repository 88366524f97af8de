"""A worker as the settings describe it: real Valkey, real databases, a scripted upstream."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coterie.db import Database, utcnow
from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, Question, Sampling
from orchestrator.jobs.keys import canonical, prompt_key, unit_key
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.unit_store import Request, UnitStore
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.scheduling.work import Unit
from orchestrator.settings import Settings
from orchestrator.workers.parts import name_of_this_life, open_worker, shared_queue
from skills.expert_store import ExpertStore
from skills.experts import Registry
from tests.orchestrator.engines.engine_upstream import Upstream, running_upstream

EVER = utcnow() - timedelta(days=1000)


@pytest.fixture
def environ(database_url: str, valkey_url: str, tmp_path: Path) -> dict[str, str]:
    return environ_of(database_url, valkey_url, tmp_path)


def environ_of(database_url: str, valkey_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "COTERIE_HOME": str(tmp_path / "home"),
        "COTERIE_GPU": "0",
        "COTERIE_WORKER_NAME": "bench",
    }


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        running.health = lambda request: _ok()
        yield running


def _ok() -> Any:
    from fastapi import Response

    return Response()


async def register(database: Database, upstream: Upstream) -> None:
    registry = Registry(ExpertStore(database))
    await registry.add(Expert("far", ExpertKind.OPENAI, "model", endpoint=upstream.url))


def requests(count: int) -> list[Request]:
    found = []
    for n in range(count):
        question, sampling = Question.of(f"question {n}"), Sampling(temperature=0.0)
        prompt = prompt_key(question)
        key = unit_key("far", prompt, canonical(sampling))
        found.append(Request(Unit(key, "far", question, sampling), prompt))
    return found


async def publish(store: UnitStore, queue: RedisQueue, count: int) -> list[str]:
    found = await store.register(requests(count), EVER)
    await queue.publish(await store.batches(sorted({batch for _, batch in found.values()})))
    return list(found)


async def until_done(store: UnitStore, keys: list[str]) -> None:
    async with asyncio.timeout(20):
        while await store.open(keys):
            await asyncio.sleep(0.01)


async def test_units_go_from_the_database_through_the_queue_to_an_expert_and_back(
    environ: dict[str, str], database: Database, upstream: Upstream
) -> None:
    settings = Settings.load(environ)
    queue, store = shared_queue(settings), UnitStore(database, Seal(settings.seal_key_file))
    assert queue is not None
    await register(database, upstream)
    keys = await publish(store, queue, 150)
    async with open_worker(settings) as worker:
        running = asyncio.create_task(worker.run())
        await until_done(store, keys)
        worker.drain()
        await running
    assert len(upstream.bodies) == 150
    assert await queue.depths() == {}
    assert await queue.workers() == []
    await queue.aclose()


async def test_the_command_drains_when_it_is_told_to_end(
    sqlite_url: str, valkey_url: str, tmp_path: Path, upstream: Upstream
) -> None:
    environ, database = environ_of(sqlite_url, valkey_url, tmp_path), Database(sqlite_url)
    settings = Settings.load(environ)
    queue, store = shared_queue(settings), UnitStore(database, Seal(settings.seal_key_file))
    assert queue is not None
    await register(database, upstream)
    keys = await publish(store, queue, 3)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator.cli", "worker", env={**os.environ, **environ}
    )
    try:
        await until_done(store, keys)
        assert [w.name.rpartition("-")[0] for w in await queue.workers()] == ["bench"]
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert await queue.workers() == []
    await queue.aclose()
    await database.close()


async def test_a_worker_without_a_queue_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings.load({"COTERIE_HOME": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        async with open_worker(settings):
            pass


def test_every_life_has_its_own_name(tmp_path: Path) -> None:
    settings = Settings.load({"COTERIE_HOME": str(tmp_path), "COTERIE_WORKER_NAME": "bench"})
    names = {name_of_this_life(settings) for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("bench-") for name in names)
