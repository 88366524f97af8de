"""Interrupt a job anywhere, as often as you like: it ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from coterie.db import Database
from coterie.errors import QueueUnavailable, StoreUnavailable
from evals.results import ItemResult
from orchestrator.jobs import record
from orchestrator.jobs.job import JobState
from orchestrator.jobs.runner import Runner
from orchestrator.jobs.tables import PromptRow, UnitRow
from orchestrator.scheduling import patience
from orchestrator.scheduling.work import Batch

ROUNDS = 8


class Flaky:
    """Passes calls on to ``real``; some raise instead, before or after they were done."""

    def __init__(self, real: Any, error: type[Exception], rng: random.Random, share: float) -> None:
        self._real, self._error, self._rng, self._share = real, error, rng, share

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            drawn = self._rng.random() / self._share
            if drawn < 0.5:
                raise self._error("away")
            result = await found(*args, **kwargs)
            if drawn < 1:
                raise self._error("away again: it was done all the same")
            return result

        return call


async def undisturbed(kit: Any, url: str, home: Path, **fields: Any) -> list[ItemResult]:
    database = Database(url)
    home.mkdir()
    world = kit.world(database, home)
    poison(world, kit)
    job = await world.add(**fields)
    assert await world.run(job) is JobState.DONE
    found: list[ItemResult] = await world.results(job)
    await database.close()
    return found


def poison(world: Any, kit: Any) -> None:
    world.engines["ann"].refuses = f"{kit.mark} 7:"
    world.engines["bob"].refuses = f"{kit.mark} 8:"


@pytest.mark.parametrize("strategy", ["symbolic", "symbolic-paper", "adaptive", "all"])
async def test_a_job_that_is_killed_again_and_again_ends_the_same(
    new_world: Any, jobs_kit: Any, other_url: str, tmp_path: Path, strategy: str
) -> None:
    wanted = await undisturbed(jobs_kit, other_url, tmp_path / "other", strategy=strategy)
    world = new_world()
    poison(world, jobs_kit)
    job = await world.add(strategy=strategy)
    rng = random.Random(strategy)
    kept: set[Any] = set()
    for round_ in range(60):
        running = asyncio.create_task(world.run(job, f"owner-{round_}"))
        await asyncio.sleep(rng.random() * 0.03 * (1 + round_ / 10))
        running.cancel()
        [ended] = await asyncio.gather(running, return_exceptions=True)
        assert await asked_of_stored(world, kept) == []
        kept |= await stored(world)
        if (await world.jobs.get(job.id)).state is JobState.DONE:
            break  # it may have been killed right after its end
        assert isinstance(ended, asyncio.CancelledError), ended
        # The owner is dead, and it is known: its lease need not run out.
        dead = f"owner-{round_}"
        assert await world.jobs.take(job.id, f"owner-{round_ + 1}", instead_of=dead)
    else:
        assert await world.run(job, f"owner-{round_ + 1}") is JobState.DONE
    assert await world.results(job) == wanted


async def stored(world: Any) -> set[Any]:
    """What was asked so far and has been stored: (expert, question, how often it was asked)."""
    done = await completed_questions(world)
    return {(e, q, n) for (e, q, _), n in world.asked.items() if (e, q) in done}


async def asked_of_stored(world: Any, kept: set[Any]) -> list[Any]:
    """What was asked again although it was stored."""
    now = {(e, q): n for (e, q, _), n in world.asked.items()}
    return [(e, q) for e, q, n in kept if now[e, q] > n]


async def completed_questions(world: Any) -> set[tuple[str, str]]:
    query = select(UnitRow.expert, PromptRow.body).join(PromptRow, PromptRow.key == UnitRow.prompt)
    async with world.database.read() as session:
        rows = await session.execute(query.where(UnitRow.completed_at.is_not(None)))
        return {(row.expert, record.question_of(row.body).text) for row in rows}


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_outages_are_waited_out(
    new_world: Any,
    jobs_kit: Any,
    other_url: str,
    tmp_path: Path,
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    strategy = ("symbolic", "symbolic-paper", "all")[seed % 3]
    wanted = await undisturbed(jobs_kit, other_url, tmp_path / "other", strategy=strategy)
    world, rng = new_world(tries=1), random.Random(seed)
    poison(world, jobs_kit)
    world.units = Flaky(world.units, StoreUnavailable, rng, 0.2)
    job = await world.add(strategy=strategy)
    assert await world.jobs.take(job.id, "me")
    job = await world.jobs.get(job.id)
    async with world.working() as ground:
        ground = patched(ground, rng)
        runner = Runner(ground, job, "me", pace=world.pace, patience=world.patience())
        assert await runner.run() is JobState.DONE
    assert await world.results(job) == wanted


def patched(ground: Any, rng: random.Random) -> Any:
    return replace(
        ground,
        jobs=Flaky(ground.jobs, StoreUnavailable, rng, 0.2),
        items=Flaky(ground.items, StoreUnavailable, rng, 0.2),
        queue=Flaky(ground.queue, QueueUnavailable, rng, 0.2),
    )


async def test_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    left = 5

    async def work() -> str:
        nonlocal left
        left -= 1
        if left:
            raise StoreUnavailable("the database is away")
        return "done"

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    patiently = patience.Patience(first_s=1.0, most_s=3.0, sleep=sleep)
    assert await patiently(work) == "done"
    assert pauses == [1.0, 2.0, 3.0, 3.0]
    assert len(caplog.records) == 2


class Forgetful:
    """A queue that forgets most of what is published, now and then."""

    def __init__(self, real: Any, rng: random.Random) -> None:
        self._real, self._rng = real, rng

    async def publish(self, batches: Sequence[Batch]) -> None:
        await self._real.publish([b for b in batches if self._rng.random() < 0.3])

    async def depths(self) -> Mapping[str, Any]:
        return dict(await self._real.depths())

    async def workers(self) -> Sequence[Any]:
        return list(await self._real.workers())


async def test_what_the_queue_forgets_is_published_again(world: Any) -> None:
    job = await world.add(strategy="all")
    assert await world.jobs.take(job.id, "me")
    async with world.working() as ground:
        ground = replace(ground, queue=Forgetful(ground.queue, random.Random(1)))
        runner = Runner(ground, await world.jobs.get(job.id), "me", pace=world.pace)
        assert await runner.run() is JobState.DONE
    assert set(world.asked.values()) == {1}
