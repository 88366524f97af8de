"""Experts that nobody can serve any more, or nobody serves now, never stop a job silently."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from coterie.types import as_jsonable
from orchestrator.cli import show_jobs
from orchestrator.jobs.job import JobState
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.runner import Pace, Runner
from orchestrator.jobs.terms import fix
from orchestrator.jobs.unserved import LOAD_S, SILENT_S, TURN_S, unserved
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.work import WorkerState

STRATEGIES = ("symbolic", "adaptive", "all", "best-single")


# --- gone for good ------------------------------------------------------------------------------


async def as_if_refused(kit: Any, database: Any, home: Any, strategy: str) -> Any:
    """The results where ann refuses everything."""
    home.mkdir()
    world = kit.world(database, home)
    world.engines["ann"].down = True
    world.units._tries = 1
    job = await world.add(strategy=strategy)
    assert await world.run(job) is JobState.DONE
    return await world.results(job)


async def begun(world: Any, **fields: Any) -> Any:
    """A job that began with the experts there are."""
    job = await world.add(**fields)
    settled = fix(job.spec, world.experts, world.knowledge, world.policy)
    await world.jobs.settle(job.id, settled)
    return job


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("how", ["removed", "disabled"])
async def test_items_go_on_with_substitutes_when_an_expert_is_gone(
    new_world: Any, jobs_kit: Any, other_database: Any, tmp_path: Any, strategy: str, how: str
) -> None:
    wanted = await as_if_refused(jobs_kit, other_database, tmp_path / "other", strategy)
    world = new_world()
    job = await begun(world, strategy=strategy)
    away(world, how)
    assert await world.run(job) is JobState.DONE
    assert await world.results(job) == wanted
    told = (await world.jobs.get(job.id)).progress
    assert (told.finished, told.unserved) == (24, {})
    assert not world.engines["ann"].asked


def away(world: Any, how: str) -> None:
    if how == "removed":
        del world.experts["ann"]
    else:
        world.experts["ann"] = replace(world.experts["ann"], enabled=False)


async def test_who_goes_while_it_is_waited_for_is_waited_for_no_longer(world: Any) -> None:
    asked = asyncio.Event()

    async def hang(question: Any, sampling: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    world.engines["ann"].complete = hang
    job = await world.add(strategy="all")
    running = asyncio.create_task(world.run(job))
    await asyncio.wait_for(asked.wait(), 10)
    away(world, "removed")
    assert await asyncio.wait_for(running, 20) is JobState.DONE
    found = await world.results(job)
    assert all(r.error is None and r.leader for r in found)
    assert {c.expert for r in found for c in r.calls} == {"bob", "cyd", "dan"}
    assert (await world.jobs.get(job.id)).progress.experts["ann"].failed == 24


async def test_a_job_that_is_killed_meanwhile_ends_the_same(
    new_world: Any, jobs_kit: Any, other_database: Any, tmp_path: Any
) -> None:
    wanted = await as_if_refused(jobs_kit, other_database, tmp_path / "other", "symbolic")
    world, rng = new_world(), random.Random(7)
    job = await begun(world, strategy="symbolic")
    away(world, "removed")
    for round_ in range(40):
        running = asyncio.create_task(world.run(job, f"owner-{round_}"))
        await asyncio.sleep(rng.random() * 0.02 * (1 + round_ / 5))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if (await world.jobs.get(job.id)).state is JobState.DONE:
            break
        await world.jobs.give_up(job.id, f"owner-{round_}")
    else:
        assert await world.run(job) is JobState.DONE
    assert await world.results(job) == wanted


@pytest.mark.parametrize("strategy", ["expert:ann", "symbolic"])
async def test_where_nobody_is_left_the_job_says_so_and_can_go_on(
    world: Any, strategy: str
) -> None:
    job = await begun(world, strategy=strategy)
    experts = dict(world.experts)
    world.experts.clear()
    assert await world.run(job) is JobState.FAILED
    error = (await world.jobs.get(job.id)).error
    assert "'ann' was removed" in error
    assert "resume the job" in error
    world.experts.update(experts)
    await world.jobs.resume(job.id)
    assert await world.run(job) is JobState.DONE
    assert all(r.error is None for r in await world.results(job))


# --- not served ---------------------------------------------------------------------------------

ABLE = WorkerState("w", experts=("ann", "bob"))


@pytest.mark.parametrize(
    ("idle_s", "workers", "told"),
    [
        (SILENT_S - 1, [], ""),
        (SILENT_S, [], "no worker is alive"),
        (SILENT_S, [WorkerState("v", experts=("bob",))], "none of the workers (v) can serve it"),
        (SILENT_S, [replace(ABLE, draining=True)], "none of the workers (w) can serve it"),
        (SILENT_S, [ABLE], ""),
        (LOAD_S, [ABLE], "its engine is not up after 60 s"),
        (TURN_S, [replace(ABLE, resident=("ann",))], ""),
        (LOAD_S, [replace(ABLE, resident=("bob",), busy=("bob",))], ""),
        (TURN_S, [replace(ABLE, resident=("bob",), busy=("bob",))], "not had its turn for 10 min"),
    ],
)
def test_why_nobody_serves_an_expert(idle_s: float, workers: Any, told: str) -> None:
    quiet_s = 0.0 if any(w.busy for w in workers) else idle_s
    found = unserved({"ann": idle_s}, workers, quiet_s)
    assert told in found.get("ann", "")
    assert bool(found) == bool(told)


def test_an_engine_is_not_late_when_its_turn_begins() -> None:
    assert unserved({"ann": TURN_S - 1}, [ABLE], quiet_s=LOAD_S - 1) == {}


@dataclass
class Hasty:
    """A clock on which every look takes a second."""

    now: float = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now

    def time(self) -> float:
        return self.now


async def test_a_job_says_whom_nobody_serves(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says it no longer once somebody does."""
    clock, told = Hasty(), list[JobProgress]()
    job = await world.add(strategy="expert:ann")
    assert await world.jobs.take(job.id, "me")
    ground = replace(world.ground(InProcessQueue(clock)), clock=clock)
    pace = Pace(page=5, poll_s=0.0, most_s=0.001, beat_s=0.001, look_s=0.0)
    runner = Runner(ground, await world.jobs.get(job.id), "me", tell=told.append, pace=pace)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(20):
        while not (told and told[-1].unserved):
            await asyncio.sleep(0.005)
    assert "no worker is alive" in told[-1].unserved["ann"]
    assert JobProgress.of(as_jsonable(told[-1])) == told[-1]
    assert "nobody serves ann" in show_jobs.summary(told[-1])
    kept = await world.jobs.get(job.id)
    show_jobs.job(replace(kept, progress=told[-1]))
    assert "start one with `coterie worker`" in capsys.readouterr().out
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await world.run(job) is JobState.DONE
    assert (await world.jobs.get(job.id)).progress.unserved == {}
