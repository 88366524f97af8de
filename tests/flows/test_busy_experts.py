"""Experts with limits and with several servers, over HTTP: who is asked, and who is sent away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.flows.gateway import Call, Gateway, answers, gateway, servers, text_of

ANSWER = "forty two it is"
TIGHT = {"concurrency": 1, "queue": 0}


class Held:
    """Calls that wait until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await self.go.wait()
        await answers(call)


@asynccontextmanager
async def busy(found: Gateway, upstream: Any, held: Held, model: str) -> AsyncIterator[None]:
    """While the expert is answering somebody."""
    running = asyncio.create_task(found.chat(model=model))
    async with asyncio.timeout(5):
        while not upstream.calls:
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        held.go.set()
        assert text_of(await running) == ANSWER


async def test_where_everyone_is_busy_a_caller_is_told_when_to_come_again(
    tmp_path: Path, sqlite_url: str
) -> None:
    held = Held()
    async with servers(held) as (one,):
        experts = [{"name": "a", "endpoint": one.url, "limits": TIGHT}]
        patient = {"COTERIE_REQUEST_TIMEOUT_S": "20"}
        async with gateway(tmp_path, experts, database_url=sqlite_url, **patient) as found:
            async with busy(found, one, held, "a"):
                for model, code in (("a", "expert_busy"), ("coterie", "overloaded")):
                    for stream in (False, True):
                        refused = await found.chat(model=model, stream=stream)
                        assert refused.status_code == 429
                        assert refused.json()["error"]["code"] == code
                        assert refused.json()["error"]["type"] == "rate_limit_error"
                        assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert len(one.calls) == 1
            assert text_of(await found.chat()) == ANSWER


async def test_a_turn_in_the_queue_comes_or_is_told_to_be_too_late(
    tmp_path: Path, sqlite_url: str
) -> None:
    held = Held()
    async with servers(held) as (one,):
        limits = {"concurrency": 1, "queue": 1, "queue_s": 0.2}
        experts = [{"name": "a", "endpoint": one.url, "limits": limits}]
        patient = {"COTERIE_REQUEST_TIMEOUT_S": "20"}
        service = gateway(tmp_path, experts, database_url=sqlite_url, **patient)
        async with service as found, busy(found, one, held, "a"):
            late = await found.chat(model="a")
            assert late.status_code == 429
            assert "did not come within 0.2 s" in late.json()["error"]["message"]
            waiting = asyncio.create_task(found.chat(model="a"))
            held.go.set()
            assert text_of(await waiting) == ANSWER


async def test_routing_asks_another_expert_than_a_busy_one(tmp_path: Path, sqlite_url: str) -> None:
    held = Held()
    async with servers(held, answers) as (one, two):
        experts = [
            {"name": "a", "endpoint": one.url, "limits": TIGHT},
            {"name": "b", "endpoint": two.url},
        ]
        patient = {"COTERIE_REQUEST_TIMEOUT_S": "20"}
        async with gateway(tmp_path, experts, database_url=sqlite_url, **patient) as found:
            async with busy(found, one, held, "a"):
                response = await found.chat()
                assert response.headers["x-coterie-experts"] == "b"
            assert (await found.chat()).headers["x-coterie-experts"] == "a"


@pytest.mark.parametrize("stream", [False, True])
async def test_servers_of_one_expert_stand_in_for_each_other(
    tmp_path: Path, sqlite_url: str, stream: bool
) -> None:
    async with servers(answers, answers, answers) as three:
        experts = [{"name": "a", "endpoints": [one.url for one in three]}]
        async with gateway(tmp_path, experts, database_url=sqlite_url) as found:
            seen: Counter[int] = Counter()
            for left in (3, 2, 1):
                for i in range(40):  # one by its beginning: three in a million miss a server
                    asked = [{"role": "user", "content": f"How many, {left} {i}?"}]
                    response = await found.chat(stream=stream, messages=asked)
                    assert text_of(response) == ANSWER
                seen[left] = sum(bool(one.calls) for one in three)
                for one in three:
                    one.calls.clear()
                await three[left - 1].stop()
            assert seen == {3: 3, 2: 2, 1: 1}
            refused = await found.chat(stream=stream)
            assert refused.status_code == 503
            await three[0].start()
            async with asyncio.timeout(10):
                while (await found.chat(stream=stream)).status_code != 200:
                    await asyncio.sleep(0.05)
            for one in three[1:]:  # or there is nothing to stop at the end
                await one.start()
