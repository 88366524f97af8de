"""Who leaves ends the work: real upstreams on the loopback see every call hung up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.responses import JSONResponse

from coterie.clock import SystemClock
from orchestrator.engines.http import create_client
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.target import Target
from orchestrator.traces.facts import LEFT
from tests.orchestrator.engines.engine_upstream import Upstream, completion, running_upstream

PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2
NAMES = "abc"


class Named(OpenAIEngine):
    """The real engine, with what the tests' fleet calls it."""

    name = ""


@pytest.fixture
async def world(kit: Any, tmp_path: Path, sqlite_url: str) -> AsyncIterator[Any]:
    """A service over three real upstreams: (service, upstreams by name)."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(create_client())
        upstreams, engines = {}, []
        for name in NAMES:
            up = upstreams[name] = await stack.enter_async_context(running_upstream())
            target = Target(name, up.url, name)
            engine = Named(target, client, clock=SystemClock(), rng=random.Random(0))
            engine.name = name
            engines.append(engine)
        running = kit.running(tmp_path, sqlite_url, engines, COTERIE_STREAM_COMMENT_S="0.05")
        yield await stack.enter_async_context(running), upstreams


def talks(request: Any) -> Any:
    return JSONResponse(completion(PROSE))


def body(stream: bool, model: str = "coterie/all") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "How?"}], "stream": stream}


async def leave_once_asked(
    service: Any, asked: list[Upstream], sent: dict[str, Any], calls: int = 1
) -> None:
    """Sends a request, and hangs up when each of ``asked`` has had so many ``calls``."""
    read: list[str] = []

    async def call() -> None:
        async with service.http.stream("POST", "/v1/chat/completions", json=sent) as response:
            async for line in response.aiter_lines():
                read.append(line)

    task = asyncio.create_task(call())
    async with asyncio.timeout(10):
        for upstream in asked:
            while len(upstream.bodies) < calls:
                await asyncio.sleep(0.01)
        if sent["stream"]:
            while not read:  # it has begun, if only with a comment
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        for upstream in asked:
            await upstream.hung_up.wait()


async def last_record(service: Any) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while not (found := await service.parts.traces.recent(1)):
            await asyncio.sleep(0.01)
    record: dict[str, Any] = found[0]
    return record


@pytest.mark.parametrize("stream", [False, True])
async def test_every_expert_is_hung_up_on(world: Any, stream: bool) -> None:
    service, upstreams = world
    for upstream in upstreams.values():
        upstream.says(upstream.hangs)
    await leave_once_asked(service, list(upstreams.values()), body(stream))
    record = await last_record(service)
    assert record["error"] == LEFT
    assert record["chosen"] == list(NAMES)
    assert record["calls"] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_the_aggregator_is_hung_up_on_before_its_first_token(
    world: Any, stream: bool
) -> None:
    service, upstreams = world
    for upstream in upstreams.values():
        upstream.says(talks)
    writer = upstreams["a"]
    writer.says(writer.hangs)
    await leave_once_asked(service, [writer], body(stream), calls=2)
    record = await last_record(service)
    assert record["error"] == LEFT
    assert record["usage"]["total_tokens"] == 3 * 10  # what had been answered is told


async def test_the_aggregator_is_hung_up_on_in_the_middle(world: Any) -> None:
    service, upstreams = world
    for upstream in upstreams.values():
        upstream.says(talks)
    writer = upstreams["a"]
    writer.says(writer.trickles)
    async with asyncio.timeout(10):
        async with service.http.stream(
            "POST", "/v1/chat/completions", json=body(stream=True)
        ) as response:
            async for line in response.aiter_lines():
                if '"more' in line:
                    break
        await writer.hung_up.wait()


async def test_an_expert_that_streams_alone_is_hung_up_on(world: Any) -> None:
    service, upstreams = world
    upstreams["b"].says(upstreams["b"].trickles)
    async with asyncio.timeout(10):
        async with service.http.stream(
            "POST", "/v1/chat/completions", json=body(stream=True, model="b")
        ) as response:
            async for line in response.aiter_lines():
                if '"more' in line:
                    break
        await upstreams["b"].hung_up.wait()
