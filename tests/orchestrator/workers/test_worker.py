"""Workers, in virtual time, with engines of make-believe."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import EngineRejected, EngineTimeout
from orchestrator.scheduling.cluster import EngineFigures, Gpu
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.planned import Planned
from orchestrator.scheduling.pressure import Pressure
from orchestrator.scheduling.stay import Planner, StayThenDeepest
from orchestrator.scheduling.told import WorkerTold
from orchestrator.scheduling.work import WorkerState
from orchestrator.workers.worker import WorkerSettings
from tests.orchestrator.workers.virtual_time import run
from tests.orchestrator.workers.worker_world import Death, Scene, units_of

PLANNERS = [StayThenDeepest(), Planned.of_slots(1)]


@pytest.mark.parametrize("planner", PLANNERS, ids=["stay", "planned"])
def test_a_worker_answers_everything_with_one_load_an_expert(planner: Planner) -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 50), *units_of("b", 40), *units_of("c", 10)])
        worker, node = scene.worker(planner=planner)
        scene.start(worker)
        await scene.until_settled()
        assert node.loads == {"a": 1, "b": 1, "c": 1}
        assert set(scene.store.kept) == set(scene.store.units)
        assert set(scene.paid().values()) == {1}
        assert scene.store.kept["b/7"].text == "b: 7"
        assert node.stopped_busy == []
        assert await scene.queue.depths() == {}
        await scene.end()

    run(story())


def test_engines_are_kept_full_from_one_batch_to_the_next() -> None:
    """100 units in batches of 8, 10 at a time, 2 s each: 20 s, and a load of 30 s."""

    async def story() -> None:
        scene = Scene(units_of("a", 100))
        worker, node = scene.worker(WorkerSettings(pressure=Pressure(start=10)))
        scene.start(worker)
        took_s = await scene.until_settled()
        assert took_s <= 30 + 20 + 1.5
        assert node.most["a"] == 10
        await scene.end()

    run(story())


@pytest.mark.parametrize("planner", PLANNERS, ids=["stay", "planned"])
def test_experts_of_one_engine_share_one_load_and_are_answered_without_a_break(
    planner: Planner,
) -> None:
    async def story() -> None:
        units = [u for expert in ("base", "x", "y", "z") for u in units_of(expert, 20)]
        scene = Scene(units, dict.fromkeys(("base", "x", "y", "z"), "base"))
        worker, node = scene.worker(WorkerSettings(pressure=Pressure(start=20)), planner)
        scene.start(worker)
        took_s = await scene.until_settled()
        assert node.loads == {"base": 1}
        assert took_s <= 30 + 4 * 2 + 1.5
        await scene.end()

    run(story())


def test_work_that_comes_later_is_begun_at_once() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 16))
        worker, node = scene.worker()
        scene.start(worker)
        await scene.queue.publish(scene.batches[:1])
        await asyncio.sleep(500)
        began_s = scene.clock.monotonic()
        await scene.until_settled()
        assert node.began_s[-1] - began_s < 0.1
        assert node.loads == {"a": 1}
        await scene.end()

    run(story())


@pytest.mark.parametrize("planner", PLANNERS, ids=["stay", "planned"])
def test_two_workers_share_experts_and_load_none_twice(
    planner: Planner,
) -> None:
    async def story() -> None:
        scene = Scene([u for e in "abcd" for u in units_of(e, 30)])
        for _ in range(2):
            scene.start(scene.worker(planner=planner)[0])
        await scene.until_settled()
        loads = [node.loads for node in scene.nodes]
        assert sum(loads[0].values()) + sum(loads[1].values()) == 4
        assert loads[0]
        assert loads[1]
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


def test_a_worker_without_work_of_its_own_helps_where_there_is_much() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 400))
        for _ in range(2):
            scene.start(scene.worker(WorkerSettings(pressure=Pressure(start=4)))[0])
        await scene.until_settled()
        assert all(node.loads == {"a": 1} for node in scene.nodes)
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


def test_the_next_engine_is_loaded_while_one_drains_where_both_fit() -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 160), *units_of("b", 160)])
        speed = EngineFigures("a", gpu_gb=1, load_s=20, tokens_s=4 * 500, sleeps=False)
        figures = {"a": speed, "b": replace(speed, name="b")}
        planner = Planned(Gpu("g", memory_gb=2), figures, batch_units=8)
        setting = WorkerSettings(pressure=Pressure(start=8))
        worker, node = scene.worker(setting, planner, load_s=20.0)
        scene.start(worker)
        took_s = await scene.until_settled()
        assert node.loads == {"a": 1, "b": 1}
        assert took_s <= 20 + 40 + 40 + 2
        await scene.end()

    run(story())


def test_an_engine_that_is_not_ours_to_move_serves_beside_those_that_are() -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 40), *units_of("far", 40), *units_of("b", 40)])
        worker, node = scene.worker(fixed={"far"})
        scene.start(worker)
        await scene.until_settled()
        assert node.loads == {"a": 1, "b": 1}
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


# --- units that fail ----------------------------------------------------------------------------


def test_a_unit_that_fails_for_good_is_parked_and_the_rest_goes_on() -> None:
    def rule(text: str) -> None:
        if text == "7":
            raise EngineRejected("a", "too long")

    async def story() -> None:
        scene = Scene(units_of("a", 30))
        worker, node = scene.worker(rule=rule)
        scene.start(worker)
        await scene.until_settled()
        assert "too long" in scene.store.parked["a/7"]
        assert scene.store.tries["a/7"] == 1
        assert len(scene.store.kept) == 29
        assert node.loads == {"a": 1}
        await scene.end()

    run(story())


@pytest.mark.parametrize("failure", [EngineTimeout("a", "silence"), ZeroDivisionError("secret")])
def test_a_unit_that_fails_again_and_again_is_parked_after_its_tries(failure: Exception) -> None:
    def rule(text: str) -> None:
        if text == "7":
            raise failure

    async def story() -> None:
        scene = Scene(units_of("a", 30))
        scene.start(scene.worker(rule=rule)[0])
        await scene.until_settled()
        assert set(scene.store.parked) == {"a/7"}
        assert "secret" not in scene.store.parked["a/7"]
        assert len(scene.store.kept) == 29
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


def test_a_failure_that_passes_costs_one_try() -> None:
    left = ["7", "7", "8"]

    def rule(text: str) -> None:
        if text in left:
            left.remove(text)
            raise EngineTimeout("a", "silence")

    async def story() -> None:
        scene = Scene(units_of("a", 30))
        scene.start(scene.worker(rule=rule)[0])
        await scene.until_settled()
        assert scene.store.tries == {"a/7": 2, "a/8": 1}
        assert len(scene.store.kept) == 30
        await scene.end()

    run(story())


def test_an_answer_that_cannot_be_stored_parks_its_unit() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 10))
        complete = scene.store.complete

        async def refuse(key: str, completion: object) -> None:
            if key == "a/3":
                raise ValueError("not JSON")
            await complete(key, completion)  # type: ignore[arg-type]

        scene.store.complete = refuse  # type: ignore[method-assign, assignment]
        scene.start(scene.worker()[0])
        await scene.until_settled()
        assert set(scene.store.parked) == {"a/3"}
        await scene.end()

    run(story())


# --- engines that die ---------------------------------------------------------------------------


def test_an_engine_that_dies_is_started_again_and_nobody_is_to_blame() -> None:
    deaths = [20]

    def rule(text: str) -> None:
        if deaths and int(text) == deaths[0]:
            deaths.pop()
            raise Death

    async def story() -> None:
        scene = Scene(units_of("a", 60))
        worker, node = scene.worker(WorkerSettings(pressure=Pressure(start=8)), rule=rule)
        scene.start(worker)
        await scene.until_settled()
        assert node.loads == {"a": 2}
        assert len(scene.store.kept) == 60
        assert not scene.store.tries
        await scene.end()

    run(story())


@pytest.mark.parametrize("start", [1, 8, 64])
def test_a_unit_that_kills_its_engine_is_found_and_parked_and_the_rest_is_answered(
    start: int,
) -> None:
    def rule(text: str) -> None:
        if text == "33":
            raise Death

    async def story() -> None:
        scene = Scene(units_of("a", 60))
        worker, node = scene.worker(WorkerSettings(pressure=Pressure(start=start)), rule=rule)
        scene.start(worker)
        await scene.until_settled()
        assert set(scene.store.parked) == {"a/33"}
        assert "died" in scene.store.parked["a/33"]
        assert len(scene.store.kept) == 59
        assert node.loads["a"] <= 7
        await scene.end()

    run(story())


def test_an_engine_that_never_starts_is_given_up_and_its_units_say_why() -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 20), *units_of("b", 20)])
        worker, node = scene.worker(broken={"a"})
        scene.start(worker)
        await scene.until_settled()
        assert all("out of memory" in told for told in scene.store.parked.values())
        assert len(scene.store.parked) == 20
        assert len(scene.store.kept) == 20
        assert node.loads["a"] == 5
        await scene.end()

    run(story())


def test_a_node_that_cannot_start_an_engine_leaves_it_to_another() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 100))
        scene.start(scene.worker(broken={"a"})[0])
        scene.start(scene.worker(load_s=400.0)[0])
        await scene.until_settled()
        assert len(scene.store.kept) == 100
        await scene.end()

    run(story())


# --- outages ------------------------------------------------------------------------------------


def test_what_was_answered_during_an_outage_of_the_database_is_kept() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 60))
        worker, node = scene.worker(WorkerSettings(pressure=Pressure(start=8)))
        scene.start(worker)
        settled = asyncio.create_task(scene.until_settled())
        await asyncio.sleep(33)
        scene.store.away = True
        await asyncio.sleep(400)
        assert node.most["a"] == 8  # no more is paid for than memory holds
        scene.store.away = False
        await settled
        assert len(scene.store.kept) == 60
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


@pytest.mark.parametrize("forgets", [False, True])
def test_an_outage_of_the_queue_costs_time_and_nothing_else(forgets: bool) -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 60), *units_of("b", 60)])
        scene.start(scene.worker(WorkerSettings(pressure=Pressure(start=8)))[0])
        settled = asyncio.create_task(scene.until_settled())
        await asyncio.sleep(33)
        scene.queue.away = True
        await asyncio.sleep(400)
        if forgets:
            scene.queue.use(InProcessQueue(scene.clock))
        scene.queue.away = False
        await settled
        assert len(scene.store.kept) == 120
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


def test_a_queue_that_forgets_what_is_claimed_makes_nobody_work_twice() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 60))
        scene.start(scene.worker(WorkerSettings(pressure=Pressure(start=4)))[0])
        settled = asyncio.create_task(scene.until_settled())
        await asyncio.sleep(33)
        for _ in range(5):
            scene.queue.use(InProcessQueue(scene.clock))
            await asyncio.sleep(2.5)
        await settled
        assert len(scene.store.kept) == 60
        assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())


# --- ending -------------------------------------------------------------------------------------


def test_a_draining_worker_finishes_what_it_began_and_gives_back_the_rest() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 64))
        worker, node = scene.worker(WorkerSettings(pressure=Pressure(start=8)))
        running = scene.start(worker)
        await scene.queue.publish(scene.batches)
        await asyncio.sleep(33)
        worker.drain()
        await asyncio.sleep(0.5)
        [seen] = await scene.queue.workers()
        told = replace(seen, told=WorkerTold())
        assert told == WorkerState("w1", ("a",), ("a",), ("a",), draining=True)
        await running
        assert set(scene.store.kept) == {f"a/{n}" for n in range(16)}
        assert len(node.began_s) == 16
        assert await scene.queue.workers() == []
        assert sum(d.waiting for d in (await scene.queue.depths()).values()) == 6
        assert sum(d.claimed for d in (await scene.queue.depths()).values()) == 0

    run(story())


def test_a_draining_worker_does_not_wait_longer_than_its_grace() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 8))
        worker, _ = scene.worker(WorkerSettings(grace_s=10), answer_s=1_000)
        running = scene.start(worker)
        await scene.queue.publish(scene.batches)
        await asyncio.sleep(50)
        began_s = scene.clock.monotonic()
        worker.drain()
        await running
        assert scene.clock.monotonic() - began_s == pytest.approx(10, abs=0.1)
        assert (await scene.queue.depths())["a"].waiting == 1

    run(story())


@pytest.mark.parametrize("when_s", [0.0, 10.0, 45.0])
def test_a_worker_ends_though_queue_and_database_are_away(when_s: float) -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 80))
        worker, _ = scene.worker(WorkerSettings(grace_s=10, pressure=Pressure(start=4)))
        running = scene.start(worker)
        await scene.queue.publish(scene.batches)
        await asyncio.sleep(when_s)
        scene.store.away = scene.queue.away = True
        await asyncio.sleep(100)
        worker.drain()
        async with asyncio.timeout(30):
            await running

    run(story())


def test_a_cancelled_worker_stores_what_it_has_and_gives_back_the_rest() -> None:
    async def story() -> None:
        scene = Scene(units_of("a", 64))
        worker, _ = scene.worker(WorkerSettings(pressure=Pressure(start=8)))
        running = scene.start(worker)
        await scene.queue.publish(scene.batches)
        await asyncio.sleep(30.5)
        scene.store.away = True
        await asyncio.sleep(4)  # all eight are answered, and none is stored
        running.cancel()
        await asyncio.sleep(1)
        scene.store.away = False
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(scene.store.kept) == 8
        assert set(scene.paid().values()) == {1}
        assert (await scene.queue.depths())["a"].claimed == 0

    run(story())


# --- kills --------------------------------------------------------------------------------------


async def kill(scene: Scene, bystanders: set[asyncio.Task[object]]) -> None:
    """Ends all tasks but ``bystanders`` as SIGKILL would: they neither store nor tidy up."""
    scene.queue.away = scene.store.away = True
    for _ in range(100):
        if not (victims := asyncio.all_tasks() - bystanders):
            break
        for task in victims:
            task.cancel()
        await asyncio.sleep(0)
    assert not victims
    scene.queue.away = scene.store.away = False


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.01, 60), min_size=1, max_size=5), st.booleans(), st.sampled_from([3, 32])
)
def test_whoever_is_killed_whenever_all_is_answered_and_nothing_stored_is_paid_twice(
    lives_s: list[float], gently: bool, start: int
) -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 40), *units_of("b", 30)])
        setting = WorkerSettings(pressure=Pressure(start=start))
        settled = asyncio.create_task(scene.until_settled())
        seen = []
        for life_s in lives_s:
            bystanders = asyncio.all_tasks()
            task = asyncio.create_task(scene.worker(setting, load_s=5.0)[0].run())
            await asyncio.sleep(life_s)
            seen.append((set(scene.store.kept), scene.paid()))
            if gently:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            else:
                await kill(scene, bystanders)
        scene.start(scene.worker(setting)[0])
        await settled
        assert set(scene.store.kept) == set(scene.store.units)
        for stored, paid in seen:
            again = scene.paid() - paid
            assert not [key for key in stored if again[key]], "paid twice"
        if gently:
            assert set(scene.paid().values()) == {1}
        await scene.end()

    run(story())
