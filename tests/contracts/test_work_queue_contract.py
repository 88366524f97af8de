"""What every work queue does: the one of this process, and the one in a real Valkey."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.scheduling.work import Batch, Claim, Depth, WorkerState, WorkQueue

BOTH = ["in process", "valkey"]
TTL_S = 30.0


def batch(name: str, expert: str = "a") -> Batch:
    return Batch(name, expert, (f"{name}-1", f"{name}-2"))


class World(Protocol):
    """A queue, and what may happen around it."""

    queue: WorkQueue

    async def die(self, worker: str) -> None:
        """The worker says nothing more, for longer than the TTL; the others live on."""

    async def forget(self) -> None:
        """The queue loses all it knew."""


@dataclass
class Here:
    """The queue of this process, and a clock that is moved by hand."""

    now_s: float = 1_000.0
    queue: InProcessQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = InProcessQueue(self, ttl_s=TTL_S)

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s

    async def die(self, worker: str) -> None:
        living = await self.queue.workers()
        self.now_s += TTL_S
        for state in living:
            if state.name != worker:
                await self.queue.beat(state)

    async def forget(self) -> None:
        self.__post_init__()


@dataclass
class There:
    """The queue in Valkey; its time is not ours to move, so keys expire by our hand."""

    client: Redis
    prefix: str
    queue: RedisQueue

    async def die(self, worker: str) -> None:
        await self.client.delete(f"{{{self.prefix}}}:worker:{worker}")

    async def forget(self) -> None:
        keys = [key async for key in self.client.scan_iter(f"{{{self.prefix}}}:*")]
        if keys:
            await self.client.delete(*keys)


async def make_world(url: str | None, stack: AsyncExitStack) -> Here | There:
    if url is None:
        return Here()
    prefix = f"test-{secrets.token_hex(4)}"
    queue = RedisQueue.from_url(url, prefix=prefix, ttl_s=TTL_S)
    client = Redis.from_url(url, decode_responses=True)
    stack.push_async_callback(queue.aclose)
    stack.push_async_callback(client.aclose)
    return There(client, prefix, queue)


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == BOTH[0] else str(request.getfixturevalue("valkey_url"))


@pytest.fixture
async def world(url: str | None) -> AsyncIterator[Here | There]:
    async with AsyncExitStack() as stack:
        yield await make_world(url, stack)


@pytest.fixture
def queue(world: World) -> WorkQueue:
    return world.queue


async def ids(queue: WorkQueue, worker: str, expert: str = "a") -> list[str]:
    """Claims all there is."""
    found = []
    for _ in range(100):
        claim = await queue.claim(worker, expert)
        if claim is None:
            return found
        found.append(claim.batch.id)
    raise AssertionError("there is no end to it")


async def claimed(queue: WorkQueue, worker: str = "w", expert: str = "a") -> Claim:
    claim = await queue.claim(worker, expert)
    assert claim is not None
    return claim


# --- batches ------------------------------------------------------------------------------------


async def test_batches_come_in_the_order_of_publishing(queue: WorkQueue) -> None:
    await queue.publish([batch("1"), batch("2")])
    await queue.publish([batch("3")])
    assert await ids(queue, "w") == ["1", "2", "3"]


def of(lane: str, *names: str) -> list[Batch]:
    return [replace(batch(f"{lane}{name}"), lane=lane) for name in names]


async def test_lanes_are_served_in_turn(queue: WorkQueue) -> None:
    await queue.publish([*of("x", "1", "2", "3", "4"), *of("y", "1", "2")])
    assert [(await claimed(queue)).batch.id for _ in range(3)] == ["x1", "y1", "x2"]
    await queue.publish(of("z", "1"))
    assert await ids(queue, "w") == ["y2", "x3", "z1", "x4"]


async def test_a_lane_that_comes_late_waits_one_turn(queue: WorkQueue) -> None:
    await queue.publish(of("x", *map(str, range(1, 8))))
    for _ in range(3):
        await claimed(queue)
    await queue.publish(of("y", "1", "2"))
    assert (await ids(queue, "w"))[:4] == ["x4", "y1", "x5", "y2"]


async def test_what_was_given_back_has_had_its_turn(queue: WorkQueue) -> None:
    await queue.publish([*of("x", "1", "2"), *of("y", "1")])
    claim = await claimed(queue)
    await queue.release(claim)
    assert await ids(queue, "v") == ["x1", "y1", "x2"]


async def test_a_batch_of_two_lanes_is_one_batch(queue: WorkQueue) -> None:
    [one], [same] = of("x", "1"), of("x", "1")
    await queue.publish([one, replace(same, lane="y")])
    assert await ids(queue, "v") == ["x1"]
    assert await queue.depths() == {"a": Depth(0, 1)}


async def test_a_batch_comes_as_it_was_published(queue: WorkQueue) -> None:
    given = Batch("id|:", "an expert: é {x}", ("k1", "|k 2"))
    await queue.publish([given])
    claim = await claimed(queue, "worker|1", given.expert)
    assert claim.batch == given
    assert claim.delivery == 1


async def test_more_batches_than_are_published_at_once_all_come(queue: WorkQueue) -> None:
    names = [f"{n:03}" for n in range(99)]
    await queue.publish([batch(n) for n in names])
    assert await ids(queue, "w") == names


async def test_there_is_nothing_to_claim_of_an_expert_nobody_published_for(
    queue: WorkQueue,
) -> None:
    await queue.publish([batch("1", "b")])
    assert await queue.claim("w", "a") is None


async def test_a_batch_goes_to_one_worker_while_that_one_lives(queue: WorkQueue) -> None:
    await queue.publish([batch("1"), batch("2")])
    assert [(await claimed(queue, w)).batch.id for w in ("w", "v")] == ["1", "2"]
    assert await queue.claim("w", "a") is None
    assert await queue.claim("v", "a") is None


async def test_many_claims_at_once_share_the_batches(queue: WorkQueue) -> None:
    names = {f"{n}" for n in range(20)}
    await queue.publish([batch(n) for n in sorted(names)])
    found = await asyncio.gather(*(queue.claim(f"w{n % 3}", "a") for n in range(25)))
    assert sorted(c.batch.id for c in found if c) == sorted(names)


async def test_an_acknowledged_batch_never_comes_again(world: World) -> None:
    queue = world.queue
    await queue.publish([batch("1")])
    claim = await claimed(queue)
    await queue.acknowledge(claim)
    await queue.acknowledge(claim)
    await world.die("w")
    assert await queue.claim("v", "a") is None
    assert await queue.depths() == {}


async def test_what_the_dead_had_claimed_is_claimed_again_first(world: World) -> None:
    queue = world.queue
    await queue.publish([batch("1"), batch("2"), batch("3")])
    await claimed(queue, "w")
    await claimed(queue, "v")
    await world.die("w")
    claim = await claimed(queue, "v")
    assert (claim.batch.id, claim.delivery) == ("1", 2)
    assert await ids(queue, "v") == ["3"]


async def test_a_slow_worker_keeps_its_batch_as_long_as_it_beats(world: World) -> None:
    queue = world.queue
    await queue.publish([batch("1")])
    await queue.beat(WorkerState("w"))
    await claimed(queue, "w")
    for _ in range(10):
        await world.die("somebody else")
    assert await queue.claim("v", "a") is None


async def test_a_worker_taken_for_dead_may_still_say_that_it_is_done(world: World) -> None:
    queue = world.queue
    await queue.publish([batch("1")])
    late = await claimed(queue, "w")
    await world.die("w")
    await claimed(queue, "v")
    await queue.acknowledge(late)
    await world.die("v")
    assert await queue.claim("u", "a") is None


async def test_a_worker_taken_for_dead_cannot_give_back_what_another_has(world: World) -> None:
    queue = world.queue
    await queue.publish([batch("1")])
    late = await claimed(queue, "w")
    await world.die("w")
    await claimed(queue, "v")
    await queue.release(late)
    assert await queue.claim("u", "a") is None


async def test_a_batch_that_was_given_back_is_the_oldest_again(queue: WorkQueue) -> None:
    await queue.publish([batch("1"), batch("2"), batch("3")])
    first, second = await claimed(queue), await claimed(queue)
    await queue.release(second)
    await queue.release(first)
    await queue.release(first)
    again = await claimed(queue, "v")
    assert (again.batch.id, again.delivery) == ("1", 2)
    assert await ids(queue, "w") == ["2", "3"]


async def test_what_waits_or_is_claimed_is_not_published_again(queue: WorkQueue) -> None:
    await queue.publish([batch("1"), batch("1"), batch("2")])
    claim = await claimed(queue)
    await queue.publish([batch("1"), batch("2")])
    await asyncio.gather(*(queue.publish([batch("3")]) for _ in range(5)))
    assert await ids(queue, "v") == ["2", "3"]
    await queue.release(claim)
    await queue.publish([batch("1")])
    assert await ids(queue, "v") == ["1"]


async def test_what_was_acknowledged_can_be_published_anew(queue: WorkQueue) -> None:
    await queue.publish([batch("1")])
    old = await claimed(queue)
    await queue.acknowledge(old)
    await queue.publish([batch("1")])
    await queue.acknowledge(old)
    assert await ids(queue, "v") == ["1"]


async def test_what_a_worker_leaves_behind_is_anybodys_at_once(queue: WorkQueue) -> None:
    await queue.publish([batch("1")])
    await queue.beat(WorkerState("w"))
    await queue.take_expert("w", "a")
    await claimed(queue, "w")
    await queue.leave("w")
    assert await queue.workers() == []
    assert await queue.holders() == {}
    assert await queue.take_expert("v", "a")
    assert await ids(queue, "v") == ["1"]


async def test_depths_tell_what_waits_and_what_is_claimed(world: World) -> None:
    queue = world.queue
    assert await queue.depths() == {}
    await queue.publish([batch("1"), batch("2"), batch("3"), batch("4", "b")])
    claim = await claimed(queue, "w")
    await claimed(queue, "v")
    assert await queue.depths() == {"a": Depth(1, 2), "b": Depth(1, 0)}
    await world.die("v")
    assert (await queue.depths())["a"] == Depth(2, 1)
    await queue.release(claim)
    assert (await queue.depths())["a"] == Depth(3, 0)


# --- who serves whom ----------------------------------------------------------------------------


async def test_one_live_worker_serves_an_expert(world: World) -> None:
    queue = world.queue
    assert await queue.take_expert("w", "a")
    assert await queue.take_expert("w", "a")
    assert not await queue.take_expert("v", "a")
    assert await queue.take_expert("v", "b")
    assert await queue.holders() == {"a": "w", "b": "v"}
    await queue.give_expert("v", "a")
    assert not await queue.take_expert("v", "a")
    await queue.give_expert("w", "a")
    assert await queue.take_expert("v", "a")


async def test_an_expert_is_taken_by_one_of_many(queue: WorkQueue) -> None:
    taken = await asyncio.gather(*(queue.take_expert(f"w{n}", "a") for n in range(9)))
    assert sum(taken) == 1


async def test_the_dead_serve_nobody(world: World) -> None:
    queue = world.queue
    await queue.take_expert("w", "a")
    await world.die("w")
    assert await queue.holders() == {}
    assert await queue.take_expert("v", "a")
    assert not await queue.take_expert("w", "a")


async def test_workers_are_known_by_what_they_said_last(world: World) -> None:
    queue = world.queue
    state = WorkerState("w", ("a", "b"), ("a",), ("a",), draining=True)
    await queue.beat(WorkerState("w"))
    await queue.beat(state)
    await queue.beat(WorkerState("v"))
    assert list(await queue.workers()) == [WorkerState("v"), state]
    await queue.take_expert("w", "a")
    await queue.claim("w", "a")
    assert state in await queue.workers()
    await world.die("w")
    assert list(await queue.workers()) == [WorkerState("v")]


# --- waiting ------------------------------------------------------------------------------------


async def quiet(queue: WorkQueue) -> None:
    """Hears all that was said before."""
    await queue.wait(0)
    await queue.wait(0)


async def test_publishing_wakes_who_waits(queue: WorkQueue) -> None:
    await quiet(queue)
    async with asyncio.timeout(10):
        waiting = asyncio.create_task(queue.wait(60))
        await asyncio.sleep(0)
        await queue.publish([batch("1")])
        await waiting


async def test_what_is_published_before_the_wait_is_not_missed(queue: WorkQueue) -> None:
    await quiet(queue)
    await queue.publish([batch("1")])
    async with asyncio.timeout(10):
        await queue.wait(60)


async def test_giving_back_wakes_who_waits(queue: WorkQueue) -> None:
    await queue.publish([batch("1")])
    claim = await claimed(queue)
    await quiet(queue)
    await queue.release(claim)
    async with asyncio.timeout(10):
        await queue.wait(60)


async def test_waiting_has_an_end(queue: WorkQueue) -> None:
    await quiet(queue)
    async with asyncio.timeout(10):
        await queue.wait(0.01)


# --- loss ---------------------------------------------------------------------------------------


async def test_after_a_loss_of_everything_what_is_published_again_is_done(world: World) -> None:
    await world.queue.publish([batch("1"), batch("2")])
    lost = await claimed(world.queue)
    await world.queue.take_expert("w", "a")
    await world.forget()
    queue = world.queue
    assert await queue.depths() == {}
    assert await queue.holders() == {}
    assert await queue.workers() == []
    assert await queue.claim("w", "a") is None
    await queue.release(lost)
    await queue.acknowledge(lost)
    await queue.publish([batch("1"), batch("2")])
    assert await queue.take_expert("w", "a")
    assert await ids(queue, "w") == ["1", "2"]


# --- all together -------------------------------------------------------------------------------

WORKERS = ("u", "v", "w")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "claim", "claim", "claim", "done", "back", "die", "forget"]),
        st.sampled_from(WORKERS),
        st.integers(0, 7),
    ),
    max_size=40,
)


@dataclass
class Story:
    """What workers and a publisher go through; ``open`` is what is not done yet."""

    world: Here | There
    open: dict[str, Batch]
    held: dict[str, list[Claim]] = field(default_factory=lambda: {w: [] for w in WORKERS})

    async def step(self, what: str, worker: str, number: int) -> None:
        await getattr(self, f"_{what}")(worker, number)

    async def end(self) -> None:
        """All die but one newcomer, and the publisher publishes what is open."""
        for worker in WORKERS:
            await self._die(worker, 0)
        await self.world.queue.publish(list(self.open.values()))
        found = [name for e in ("a", "b") for name in await ids(self.world.queue, "newcomer", e)]
        assert sorted(found) == sorted(self.open)

    async def _publish(self, worker: str, number: int) -> None:
        await self.world.queue.publish(list(self.open.values())[number:])

    async def _claim(self, worker: str, number: int) -> None:
        claim = await self.world.queue.claim(worker, "ab"[number % 2])
        if claim:
            others = [c.batch.id for claims in self.held.values() for c in claims]
            assert claim.batch.id not in others, "two live workers have it"
            self.held[worker].append(claim)

    async def _done(self, worker: str, number: int) -> None:
        if self.held[worker]:
            claim = self.held[worker].pop(number % len(self.held[worker]))
            self.open.pop(claim.batch.id, None)  # the results are stored first
            await self.world.queue.acknowledge(claim)

    async def _back(self, worker: str, number: int) -> None:
        if self.held[worker]:
            claim = self.held[worker].pop(number % len(self.held[worker]))
            await self.world.queue.release(claim)

    async def _die(self, worker: str, number: int) -> None:
        await self.world.die(worker)
        self.held[worker].clear()

    async def _forget(self, worker: str, number: int) -> None:
        await self.world.forget()
        for claims in self.held.values():  # they would do it twice: no harm, but no news either
            claims.clear()


def tell(url: str | None, steps: Sequence[tuple[str, str, int]]) -> None:
    async def telling() -> None:
        async with AsyncExitStack() as stack:
            world = await make_world(url, stack)
            story = Story(world, {f"{n}": batch(f"{n}", "ab"[n % 2]) for n in range(8)})
            for step in steps:
                await story.step(*step)
            await story.end()

    asyncio.run(telling())


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_no_batch_is_ever_lost_here(steps: list[tuple[str, str, int]]) -> None:
    tell(None, steps)


@given(steps=STEPS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_batch_is_ever_lost_in_valkey(
    valkey_url: str, steps: list[tuple[str, str, int]]
) -> None:
    tell(valkey_url, steps)
