"""A server runs a few jobs at a time: small ones end soon, and all as they would have alone."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coterie.db import Database
from coterie.types import Sampling
from orchestrator.jobs.job import JobState
from orchestrator.jobs.runner import Pace
from orchestrator.jobs.service import JobService

DRAWN = Sampling(temperature=0.5)


@asynccontextmanager
async def serving(world: Any, side_by_side: int) -> Any:
    async with world.working() as ground:
        service = JobService(ground, pace=world.pace, side_by_side=side_by_side)
        service.start()
        try:
            yield service
        finally:
            await service.aclose()


async def states(world: Any, jobs: list[Any]) -> list[JobState]:
    return [(await world.jobs.get(job.id)).state for job in jobs]


async def until_done(world: Any, *jobs: Any) -> list[list[JobState]]:
    """The states that were seen until all were done."""
    seen: list[list[JobState]] = []
    async with asyncio.timeout(30):
        while not seen or set(seen[-1]) != {JobState.DONE}:
            await asyncio.sleep(0.002)
            seen.append(await states(world, list(jobs)))
    return seen


async def some_jobs(world: Any) -> list[Any]:
    """Jobs that share no completion, and two that do."""
    return [
        await world.add(strategy="all"),
        await world.add(strategy="symbolic", sampling=DRAWN, seed=1),
        await world.add(strategy="expert:ann", sampling=DRAWN, seed=2, limit=7),
        await world.add(strategy="symbolic"),
        await world.add(strategy="adaptive", sampling=DRAWN, seed=3),
    ]


async def alone(kit: Any, database: Database, home: Path) -> list[Any]:
    home.mkdir()
    world = kit.world(database, home)
    jobs = await some_jobs(world)
    for job in jobs:
        assert await world.run(job) is JobState.DONE
    return [sans_reuse(await world.results(job)) for job in jobs]


def sans_reuse(results: Any) -> Any:
    """Without who paid for a completion that two jobs share."""
    return [replace(r, calls=tuple(replace(c, reused=False) for c in r.calls)) for r in results]


async def test_no_more_than_so_many_run_at_a_time(world: Any) -> None:
    jobs = await some_jobs(world)
    async with serving(world, 2):
        seen = await until_done(world, *jobs)
    running = [sum(s is JobState.RUNNING for s in at) for at in seen]
    assert max(running) == 2
    assert set(world.asked.values()) == {1}


async def test_each_ends_as_it_would_have_ended_alone_however_often_it_is_cut_off(
    new_world: Any, jobs_kit: Any, other_database: Database, tmp_path: Path
) -> None:
    wanted = await alone(jobs_kit, other_database, tmp_path / "other")
    world, rng = new_world(), random.Random(3)
    jobs = await some_jobs(world)
    for _ in range(6):
        async with serving(world, 4):
            await asyncio.sleep(rng.random() * 0.15)
    async with serving(world, 4):
        await until_done(world, *jobs)
    assert [sans_reuse(await world.results(job)) for job in jobs] == wanted


async def test_a_small_job_does_not_wait_for_a_large_one(new_world: Any, jobs_kit: Any) -> None:
    world = new_world(task=jobs_kit.task(1600))
    world.pace = Pace(page=256, poll_s=0.0, most_s=0.001, beat_s=0.01)
    ann, gate = world.engines["ann"], asyncio.Event()
    complete = ann.complete

    async def held(question: Any, sampling: Sampling) -> Any:
        if len(ann.samplings) >= 10:
            await gate.wait()
        return await complete(question, sampling)

    ann.complete = held
    large = await world.add(strategy="expert:ann")
    async with serving(world, 4) as service, asyncio.timeout(30):
        depths = service._ground.queue.depths
        while len(ann.samplings) < 10:
            await asyncio.sleep(0.001)
        before = sum_of(await depths())
        small = await world.add(strategy="expert:ann", sampling=DRAWN, limit=10)
        while sum_of(await depths()) == before:
            await asyncio.sleep(0.001)
        gate.set()
        await until_done(world, small, large)
    drawn = [i for i, sampling in enumerate(ann.samplings) if sampling.temperature]
    assert len(drawn) == 10
    assert max(drawn) < 10 + 5 * 64, "after what was at hand, the next batch is the small job's"


def sum_of(depths: Any) -> int:
    return sum(depth.waiting + depth.claimed for depth in depths.values())


@pytest.mark.parametrize("others", [(), ("job-x",)])
async def test_a_job_that_runs_here_is_not_begun_twice(world: Any, others: tuple[str]) -> None:
    """However late its beat is."""
    job = await world.add()
    assert (await world.jobs.next(others)).id == job.id
    assert await world.jobs.next((*others, job.id)) is None
