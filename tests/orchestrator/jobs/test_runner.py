"""A job ends with a result for every item, whatever happens on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from coterie.types import Estimate, Sampling
from orchestrator.jobs.job import JobState
from skills.knowledge import Knowledge

STRATEGIES = ("auto", "symbolic", "symbolic-paper", "adaptive", "cascade", "all", "best-single")


@pytest.mark.parametrize("strategy", [*STRATEGIES, "expert:bob"])
async def test_every_item_has_its_result(world: Any, strategy: str) -> None:
    job = await world.add(strategy=strategy)
    assert await world.run(job) is JobState.DONE
    found = await world.results(job)
    assert [r.item for r in found] == [f"c{i}" for i in range(24)]
    assert all(r.error is None and r.leader for r in found)
    assert sum(r.correct for r in found) > 6
    told = (await world.jobs.get(job.id)).progress
    assert (told.state, told.finished, told.parked) == ("done", 24, 0)
    assert told.correct == sum(r.correct for r in found)
    calls = [c for r in found for c in r.calls]
    assert sum(e.done for e in told.experts.values()) == len(calls)
    assert told.stages["answer"].done == sum(c.role == "answer" for c in calls)
    assert sum(c.cost_usd for c in calls) == pytest.approx(5.0 * len(calls))


async def test_nobody_is_asked_anything_twice(world: Any) -> None:
    await world.run(await world.add(strategy="all"))
    assert set(world.asked.values()) == {1}


async def test_prose_is_written_by_one_from_all(world: Any) -> None:
    job = await world.add(strategy="all")
    await world.run(job)
    written = [r for r in await world.results(job) if r.category == "open"]
    assert all([c.role for c in r.calls].count("aggregate") == 1 for r in written)
    assert all(r.calls[-1].correct is None for r in written)


async def test_each_writer_is_shown_what_it_can_read(world: Any) -> None:
    rates = {"ann": 0.9, "bob": 0.8, "cyd": 0.7, "dan": 0.6}
    profiles = [
        replace(p, aggregation=Estimate(rates[n], 0.1, 40))
        for n, p in world.knowledge.profiles.items()
    ]
    world.knowledge = Knowledge.of(profiles, name="made-up")
    world.experts["ann"] = world.expert("ann", context_length=800)
    world.engines["ann"].refuses = "<answer"
    job = await world.add(strategy="all")
    assert await world.run(job) is JobState.DONE
    written = [r for r in await world.results(job) if r.category == "open"]
    assert {r.calls[-1].expert for r in written} == {"bob"}
    prompts = {e: [t for _, t, _ in _asked_of(world, e) if "<answer" in t] for e in ("ann", "bob")}
    assert len(set(prompts["ann"])) == len(set(prompts["bob"])) == len(written)
    assert max(map(len, prompts["ann"])) < min(map(len, prompts["bob"]))


def _asked_of(world: Any, expert: str) -> list[Any]:
    return [what for what in world.asked if what[0] == expert]


async def test_another_strategy_pays_for_nothing_twice(world: Any) -> None:
    first = await world.add(strategy="all")
    await world.run(first)
    asked = world.asked
    second = await world.add(strategy="expert:ann")
    await world.run(second)
    assert world.asked == asked
    calls = [c for r in await world.results(second) for c in r.calls]
    assert calls
    assert all(c.reused and c.cost_usd == 5.0 and c.prompt_tokens for c in calls)
    assert (await world.jobs.get(second.id)).progress.experts["ann"].reused == len(calls)


async def test_an_expert_that_fails_is_replaced(new_world: Any, jobs_kit: Any) -> None:
    world = new_world()
    world.engines["ann"].refuses = f"{jobs_kit.mark} 4:"
    job = await world.add(strategy="best-single")
    assert await world.run(job) is JobState.DONE
    found = await world.results(job)
    assert [c.expert for c in found[4].calls] == ["bob"]
    assert [c.expert for c in found[3].calls] == ["ann"]
    asked = [
        n for (text, _), n in world.engines["ann"].asked.items() if f"{jobs_kit.mark} 4:" in text
    ]
    assert asked == [1], "what is refused is not asked again"
    assert (await world.jobs.get(job.id)).progress.experts["ann"].failed == 1


async def test_what_nobody_can_answer_is_parked_and_reported(new_world: Any, jobs_kit: Any) -> None:
    world = new_world()
    for engine in world.engines.values():
        engine.refuses = f"{jobs_kit.mark} 4:"
    job = await world.add()
    assert await world.run(job) is JobState.DONE
    found = await world.results(job)
    assert len(found) == 24
    assert found[4].error.startswith("every expert refused the request: expert ")
    assert "will not read" in found[4].error
    assert not found[4].correct
    assert sum(r.error is not None for r in found) == 1
    told = (await world.jobs.get(job.id)).progress
    assert (told.finished, told.parked) == (24, 1)


async def test_resuming_tries_parked_items_again(new_world: Any, jobs_kit: Any) -> None:
    world = new_world()
    for engine in world.engines.values():
        engine.refuses = f"{jobs_kit.mark} 4:"
    job = await world.add()
    await world.run(job)
    before = await world.results(job)
    for engine in world.engines.values():
        engine.refuses = None
    assert (await world.jobs.resume(job.id)).state is JobState.QUEUED
    assert await world.run(job) is JobState.DONE
    after = await world.results(job)
    assert after[4].error is None
    assert [r for r in after if r.item != "c4"] == [r for r in before if r.item != "c4"]


async def test_a_drawn_answer_has_a_seed_of_its_own(world: Any) -> None:
    job = await world.add(strategy="expert:ann", sampling=Sampling(temperature=0.7), seed=3)
    await world.run(job)
    seeds = [s.seed for s in world.engines["ann"].samplings]
    assert len(set(seeds)) == 24
    again = await world.add(strategy="all", sampling=Sampling(temperature=0.7), seed=3)
    await world.run(again)
    assert world.engines["ann"].asked.total() == sum(
        1 for r in await world.results(again) for c in r.calls if c.expert == "ann"
    )


async def test_a_limit_takes_the_first_items(world: Any) -> None:
    job = await world.add(limit=7)
    await world.run(job)
    assert [r.item for r in await world.results(job)] == [f"c{i}" for i in range(7)]


async def test_an_expert_that_changes_stops_the_job(world: Any) -> None:
    job = await world.add(limit=7)
    await world.run(job)
    again = await world.add(limit=7, strategy="all")
    world.experts["bob"] = replace(world.experts["bob"], prompt_price=9.0)
    assert await world.run(again) is JobState.DONE
    third = await world.add(strategy="all")
    await world.jobs.settle(third.id, (await world.jobs.get(again.id)).fixed)
    world.experts["bob"] = replace(world.experts["bob"], model="bob-2")
    assert await world.run(third) is JobState.FAILED
    assert "'bob' has changed since the job began" in (await world.jobs.get(third.id)).error


async def test_a_task_with_other_questions_stops_the_job(new_world: Any, jobs_kit: Any) -> None:
    world = new_world()
    for engine in world.engines.values():
        engine.down = True
    job = await world.add()
    world.task = jobs_kit.task(renamed=2)
    await world.run(job)
    world.task = jobs_kit.task()
    await world.jobs.resume(job.id)
    assert await world.run(job) is JobState.FAILED
    assert "other questions than when the job began" in (await world.jobs.get(job.id)).error


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "nonsense"}, "no strategy 'nonsense'"),
        ({"strategy": "expert:zoe"}, "expert 'zoe' is not registered"),
        ({"experts": ("ann", "zoe")}, "expert 'zoe' is not registered"),
        ({"vote": "nonsense"}, "no vote 'nonsense'"),
        ({"policy": {"nonsense": 1}}, "the policy has no 'nonsense'"),
    ],
)
async def test_a_spec_that_cannot_be_run_says_why(
    world: Any, fields: dict[str, Any], message: str
) -> None:
    job = await world.add(**fields)
    assert await world.run(job) is JobState.FAILED
    assert message in (await world.jobs.get(job.id)).error


async def test_a_cancelled_job_stops_and_can_go_on(world: Any) -> None:
    job = await world.add(strategy="all")

    def tell(progress: Any) -> None:
        if progress.stages["answer"].done > 10 and not cancelling:
            cancelling.append(asyncio.ensure_future(world.jobs.cancel(job.id)))

    cancelling: list[Any] = []
    assert await world.run(job, tell=tell) is JobState.CANCELLED
    await asyncio.gather(*cancelling)
    assert (await world.jobs.get(job.id)).state is JobState.CANCELLED
    assert len(await world.results(job)) < 24
    assert await world.jobs.next() is None
    await world.jobs.resume(job.id)
    assert await world.run(job) is JobState.DONE
    assert len(await world.results(job)) == 24


async def test_a_job_has_one_runner(world: Any) -> None:
    job = await world.add()
    assert await world.jobs.take(job.id, "one")
    assert not await world.jobs.take(job.id, "two")
    assert await world.jobs.next() is None
    assert await world.jobs.take(job.id, "two", instead_of="one")


async def test_an_equal_job_that_is_not_done_is_found(world: Any) -> None:
    job = await world.add(seed=5)
    assert (await world.jobs.unfinished(job.spec)).id == job.id
    assert await world.jobs.unfinished(replace(job.spec, seed=6)) is None
    await world.run(job)
    assert await world.jobs.unfinished(job.spec) is None


async def test_an_internal_error_ends_the_job_and_quotes_nothing(
    world: Any, jobs_kit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(jobs_kit.task):  # type: ignore[misc, name-defined]
        def grade(self, item: Any, output: str) -> Any:
            raise ValueError(output)

    world.task = Broken()
    job = await world.add()
    assert await world.run(job) is JobState.FAILED
    error = (await world.jobs.get(job.id)).error
    assert error.startswith("internal error: ValueError at ")
    assert jobs_kit.mark not in error + caplog.text
