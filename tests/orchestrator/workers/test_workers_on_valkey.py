"""Two workers that share a real Valkey, which loses its memory and dies in the middle of it."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from coterie.errors import QueueUnavailable
from orchestrator.scheduling.pressure import Pressure
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.workers.worker import WorkerSettings
from tests.orchestrator.workers.worker_world import Scene, units_of

FAST = WorkerSettings(beat_s=0.05, poll_s=0.05, pressure=Pressure(start=4))


async def scene_of(url: str, stack: AsyncExitStack) -> Scene:
    """Units of three experts, and workers that each have a connection of their own."""
    scene = Scene([u for expert in "abc" for u in units_of(expert, 60)])
    queue = RedisQueue.from_url(url, ttl_s=0.3, retries=0)
    stack.push_async_callback(queue.aclose)
    scene.queue.use(queue)
    return scene


async def start(scene: Scene, url: str, stack: AsyncExitStack) -> asyncio.Task[None]:
    worker, _ = scene.worker(FAST, load_s=0.05, answer_s=0.02)
    worker._queue = queue = RedisQueue.from_url(url, ttl_s=0.3, retries=0)
    stack.push_async_callback(queue.aclose)
    return scene.start(worker)


async def settle(scene: Scene) -> None:
    """Publishes what is open until all is settled, whatever becomes of the queue."""
    async with asyncio.timeout(30):
        while not scene.store.settled:
            try:
                await scene.until_settled(every_s=0.05)
            except QueueUnavailable:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(3))
async def test_a_queue_that_forgets_or_dies_costs_time_only(mortal_valkey: Any, seed: int) -> None:
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        scene = await scene_of(mortal_valkey.url, stack)
        tasks = [await start(scene, mortal_valkey.url, stack) for _ in range(2)]
        settling = asyncio.create_task(settle(scene))
        await asyncio.sleep(rng.uniform(0.05, 0.4))
        async with Redis.from_url(mortal_valkey.url) as client:
            await client.flushall()
        await asyncio.sleep(rng.uniform(0.0, 0.2))
        mortal_valkey.kill()
        await asyncio.sleep(rng.uniform(0.0, 0.2))
        await asyncio.to_thread(mortal_valkey.start)
        await settling
        assert set(scene.store.kept) == set(scene.store.units)
        for task in tasks:
            assert not task.done()
        await scene.end()
