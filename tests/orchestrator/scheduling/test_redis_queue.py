"""What can go wrong between a worker and its Valkey."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from coterie.errors import ConfigurationError, QueueUnavailable
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.scheduling.work import Batch, Depth, WorkerState

ONE, TWO = Batch("1", "a", ("k1",)), Batch("2", "a", ("k2",))


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def queue(valkey_url: str) -> AsyncIterator[RedisQueue]:
    queue = RedisQueue.from_url(valkey_url, prefix="p", ttl_s=30, retries=0)
    yield queue
    await queue.aclose()


async def test_a_heartbeat_expires_by_itself(queue: RedisQueue, client: Redis) -> None:
    await queue.beat(WorkerState("w"))
    await queue.claim("v", "a")
    for name in ("w", "v"):
        assert 0 < await client.pttl(f"{{p}}:worker:{name}") <= 30_000


async def test_a_worker_that_is_silent_for_the_ttl_is_dead(valkey_url: str) -> None:
    queue = RedisQueue.from_url(valkey_url, prefix="p", ttl_s=0.001)
    await queue.publish([ONE])
    await queue.claim("w", "a")
    async with asyncio.timeout(10):
        while (again := await queue.claim("v", "a")) is None:
            pass
    assert again.delivery == 2
    await queue.aclose()


async def test_two_queues_of_one_server_are_strangers(queue: RedisQueue, valkey_url: str) -> None:
    other = RedisQueue.from_url(valkey_url, prefix="q")
    await queue.publish([ONE])
    assert await other.depths() == {}
    assert await other.claim("w", "a") is None
    await other.aclose()


async def test_every_key_begins_with_the_prefix(queue: RedisQueue, client: Redis) -> None:
    await queue.publish([ONE])
    await queue.claim("w", "a")
    await queue.take_expert("w", "a")
    assert {key.partition(":")[0] for key in await client.keys("*")} == {"{p}"}


@pytest.mark.parametrize("ending", ["leaves", "is killed", "is killed with work"])
async def test_a_life_leaves_nothing_that_grows(
    queue: RedisQueue, client: Redis, ending: str
) -> None:
    sizes = set()
    for life in range(6):
        worker = f"w{life}"
        await queue.publish([ONE])
        await queue.beat(WorkerState(worker))
        await queue.take_expert(worker, "a")
        claim = await queue.claim(worker, "a")
        assert claim is not None
        if ending != "is killed with work":
            await queue.acknowledge(claim)
        if ending == "leaves":
            await queue.leave(worker)
        else:
            await client.delete(f"{{p}}:worker:{worker}")
        consumers = await client.xinfo_consumers("{p}:stream:a", "workers")
        names = await client.smembers("{p}:workers")
        sizes.add((len(await client.keys("*")), len(consumers), len(names)))
    assert len(sizes) == 1, sizes


async def test_a_stream_without_its_group_is_read_from_its_beginning(
    queue: RedisQueue, client: Redis
) -> None:
    await queue.publish([ONE, TWO])
    await queue.claim("w", "a")
    await client.xgroup_destroy("{p}:stream:a", "workers")
    assert await queue.depths() == {"a": Depth(2, 0)}
    claim = await queue.claim("v", "a")
    assert claim is not None
    assert claim.batch == ONE


async def test_a_batch_that_is_remembered_but_gone_is_published_again(
    queue: RedisQueue, client: Redis
) -> None:
    await queue.publish([ONE])
    for key in ("wait::a", "lanes:a", "wait::a"):  # as a server short of memory might
        await client.delete(f"{{p}}:{key}")
        await queue.publish([ONE])
        assert await queue.depths() == {"a": Depth(1, 0)}
    claim = await queue.claim("w", "a")
    assert claim is not None
    await client.delete("{p}:stream:a")
    await queue.publish([ONE])
    assert await queue.depths() == {"a": Depth(1, 0)}


async def test_what_an_older_version_published_is_claimed(queue: RedisQueue, client: Redis) -> None:
    await queue.publish([TWO])
    body = json.dumps([ONE.id, *ONE.keys])
    await client.xadd("{p}:stream:a", {"batch": body})
    found = [await queue.claim("w", "a") for _ in range(3)]
    assert [c and c.batch for c in found] == [ONE, TWO, None]


# --- answers that never arrive ------------------------------------------------------------------


class Deaf:
    """Lets a script run on the server, and loses its answer."""

    def __init__(self, script: Any) -> None:
        self._script = script

    async def __call__(self, **given: Any) -> Any:
        await self._script(**given)
        raise OSError("the line went dead")


async def lose_a_claim(queue: RedisQueue) -> None:
    heard = queue._scripts["CLAIM"]
    queue._scripts["CLAIM"] = Deaf(heard)  # type: ignore[assignment]
    with pytest.raises(QueueUnavailable):
        await queue.claim("w", "a")
    queue._scripts["CLAIM"] = heard


async def test_a_claim_whose_answer_was_lost_is_given_again(queue: RedisQueue) -> None:
    await queue.publish([ONE, TWO])
    await lose_a_claim(queue)
    found = [await queue.claim("w", "a") for _ in range(3)]
    assert [c and c.batch for c in found] == [ONE, TWO, None]


async def test_a_claim_whose_answer_was_lost_does_not_stay_with_a_living_worker(
    queue: RedisQueue,
) -> None:
    await queue.publish([ONE, TWO])
    kept = await queue.claim("w", "a")
    assert kept is not None
    await lose_a_claim(queue)
    assert await queue.claim("v", "a") is None
    await queue.beat(WorkerState("w"))
    given = await queue.claim("v", "a")
    assert given is not None
    assert given.batch == TWO
    assert await queue.claim("v", "a") is None


async def test_a_cancellation_is_never_forgotten(queue: RedisQueue) -> None:
    async def ask_for_ever() -> None:
        while True:
            await queue.holders()

    for steps in range(80):
        task = asyncio.create_task(ask_for_ever())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({task})
        assert task.cancelled()


# --- a server that goes away --------------------------------------------------------------------


async def test_an_outage_is_told_and_ends_by_itself(mortal_valkey: Any) -> None:
    queue = RedisQueue.from_url(mortal_valkey.url, retries=1)
    await queue.publish([ONE, TWO])
    claim = await queue.claim("w", "a")
    assert claim is not None
    mortal_valkey.kill()
    calls = (
        queue.publish([ONE]),
        queue.claim("w", "a"),
        queue.acknowledge(claim),
        queue.release(claim),
        queue.depths(),
        queue.take_expert("w", "a"),
        queue.give_expert("w", "a"),
        queue.holders(),
        queue.beat(WorkerState("w")),
        queue.workers(),
        queue.wait(60),
    )
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in found] == [QueueUnavailable] * len(calls)
    mortal_valkey.start()
    await queue.acknowledge(claim)  # it knows nothing of that any more
    assert await queue.depths() == {}
    await queue.publish([TWO])
    again = await queue.claim("w", "a")
    assert again is not None
    assert again.batch == TWO
    await queue.aclose()


async def test_a_server_that_dies_wakes_who_waits(mortal_valkey: Any) -> None:
    queue = RedisQueue.from_url(mortal_valkey.url, retries=0)
    await queue.wait(0)
    waiting = asyncio.create_task(queue.wait(600))
    await queue.depths()
    mortal_valkey.kill()
    async with asyncio.timeout(10):
        with pytest.raises(QueueUnavailable):
            await waiting
    await queue.aclose()


async def test_a_command_that_is_wrong_is_no_outage(queue: RedisQueue, client: Redis) -> None:
    await client.set("{p}:experts", "somebody else's")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await queue.depths()


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:hunter2@127.0.0.1:{port}/0",
        "redis://:hunter2@127.0.0.1:1/0",
        "unix://u:hunter2@/nowhere.sock",
    ],
)
async def test_no_error_shows_the_password(valkey_url: str, url: str) -> None:
    port = valkey_url.rpartition(":")[2].partition("/")[0]
    queue = RedisQueue.from_url(url.replace("{port}", port), retries=0)
    with pytest.raises(QueueUnavailable) as caught:
        await queue.depths()
    assert "REDIS_URL" in str(caught.value)
    assert "hunter2" not in repr(caught.value) + repr(queue) + repr(caught.value.__cause__)
    await queue.aclose()


@pytest.mark.parametrize("url", ["redis://u:hunter2#x@h:1", "http://hunter2", "redis://h:hunter2"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        RedisQueue.from_url(url)
    assert "hunter2" not in str(caught.value)
