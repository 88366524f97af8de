"""One expert over several servers: who is asked, who takes over, and who is left alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from coterie.errors import (
    CircuitOpen,
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    ExpertBusy,
)
from coterie.types import Expert, ExpertKind, Limits, Question, Sampling
from orchestrator.engines.balanced import BalancedEngine
from orchestrator.engines.breaker import BreakerPolicy, Circuit
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.lookout import Lookout
from orchestrator.engines.managed import ManagedSettings
from orchestrator.engines.retry import RetryPolicy
from tests.orchestrator.engines.engine_clocks import SystemClock
from tests.orchestrator.engines.engine_upstream import (
    Upstream,
    answers,
    events,
    refuses,
    running_upstream,
    streamed,
)

QUESTION, ANY = Question.of("who"), Sampling()
METRICS = (
    'vllm:num_requests_running{{model="m"}} {running}\n'
    'vllm:num_requests_waiting{{model="m"}} {waiting}\n'
    'vllm:kv_cache_usage_perc{{model="m"}} {kv}\n'
)
QUICK = BreakerPolicy(in_row=2, pause_s=0.05, most_s=0.2)
MakeFleet = Callable[..., Fleet]


@pytest.fixture
async def upstreams() -> AsyncIterator[list[Upstream]]:
    made: list[Upstream] = []
    over = asyncio.Event()

    async def run() -> None:
        async with running_upstream() as upstream:
            made.append(upstream)
            await over.wait()

    async with asyncio.TaskGroup() as group:  # they end side by side
        for _ in range(3):
            group.create_task(run())
        while len(made) < 3:
            await asyncio.sleep(0.01)
        yield made
        over.set()


@pytest.fixture
async def make_fleet(client: httpx.AsyncClient, tmp_path: Any) -> AsyncIterator[MakeFleet]:
    async with AsyncExitStack() as stack:

        async def make(*experts: Expert, tries: int = 1, breaker: BreakerPolicy = QUICK) -> Fleet:
            fleet = Fleet(
                client,
                ManagedSettings(tmp_path, "python", {}),
                clock=SystemClock(),
                rng=random.Random(0),
                retry=RetryPolicy(base_delay_s=0.01, max_tries=tries, deadline_s=5.0),
                breaker=breaker,
            )
            await stack.enter_async_context(fleet)
            await fleet.sync(experts)
            return fleet

        yield make


def law(upstreams: list[Upstream], **fields: Any) -> Expert:
    urls = tuple(upstream.url for upstream in upstreams)
    return Expert("law", ExpertKind.OPENAI, "m", endpoints=urls, **fields)


def asked(upstreams: list[Upstream]) -> list[int]:
    return [len(upstream.bodies) for upstream in upstreams]


def engine_of(fleet: Fleet) -> BalancedEngine:
    engine = fleet.engine("law")
    assert isinstance(engine, BalancedEngine)
    return engine


async def test_calls_spread_over_the_servers(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    for upstream in upstreams:
        upstream.says(*[upstream.hangs] * 4)
    tasks = [asyncio.create_task(engine.complete(QUESTION, ANY)) for _ in range(12)]
    async with asyncio.timeout(5):
        while sum(asked(upstreams)) < 12:
            await asyncio.sleep(0.01)
    assert asked(upstreams) == [4, 4, 4]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [replica.in_flight for replica in engine.replicas] == [0, 0, 0]
    assert [replica.circuit for replica in engine.replicas] == [Circuit.CLOSED] * 3


async def test_the_one_with_the_least_load_by_its_metrics_is_asked(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    fleet = await make_fleet(law(upstreams))
    engine = engine_of(fleet)
    loads = [(8, 3, 0.5), (2, 0, 0.2), (1, 0, 0.99)]
    for upstream, (running, waiting, kv) in zip(upstreams, loads, strict=True):
        text = METRICS.format(running=running, waiting=waiting, kv=kv)
        upstream.others["/metrics"] = answers(text.encode())
    await Lookout(lambda: [engine]).look()
    for _ in range(5):
        await engine.complete(QUESTION, ANY)
    assert asked(upstreams) == [0, 5, 0]


async def test_a_conversation_stays_with_its_server(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    for _ in range(4):
        await engine.complete(QUESTION, ANY)
    assert sorted(asked(upstreams)) == [0, 0, 4]


@pytest.mark.parametrize(
    "reply",
    [
        refuses(500, "oh no"),
        refuses(429, "slow down", retry_after="30"),
        refuses(401, "who are you"),
        answers(b"garbage"),
        answers({"choices": []}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_another_server_takes_over_at_once(
    upstreams: list[Upstream], make_fleet: MakeFleet, reply: Any, stream: bool
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    for upstream in upstreams[:2]:
        upstream.says(*[reply] * 9)
    for _ in range(3):
        if stream:
            chunks = [chunk async for chunk in engine.stream(QUESTION, ANY)]
            assert "".join(chunk.text for chunk in chunks) == "Paris it is"
        else:
            assert (await engine.complete(QUESTION, ANY)).text == "Paris it is"
    assert asked(upstreams)[2] == 3
    assert max(asked(upstreams)[:2]) <= QUICK.in_row, "left alone after that"


async def test_what_the_request_is_at_fault_for_goes_no_further(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    for upstream in upstreams:
        upstream.says(*[refuses(400, "bad stop")] * 9)
    for _ in range(4):
        with pytest.raises(EngineRejected, match="bad stop"):
            await engine.complete(QUESTION, ANY)
    assert sum(asked(upstreams)) == 4
    assert {replica.circuit for replica in engine.replicas} == {Circuit.CLOSED}


async def test_all_of_them_are_tried_again_after_a_pause(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams), tries=2))
    for upstream in upstreams:
        upstream.says(refuses(503, "starting"))
    assert (await engine.complete(QUESTION, ANY)).text == "Paris it is"
    assert sum(asked(upstreams)) == 4


async def test_a_stream_that_has_begun_is_not_begun_again(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    for upstream in upstreams:
        upstream.says(lambda request: streamed(events()[:2], breaks=True))
    seen: list[str] = []

    async def read() -> None:
        async for chunk in engine.stream(QUESTION, ANY):
            seen.append(chunk.text)

    with pytest.raises((EngineProtocolError, EngineUnavailable)):
        await read()
    assert seen == ["Paris "]
    assert sum(asked(upstreams)) == 1
    assert [replica.in_flight for replica in engine.replicas] == [0, 0, 0]


async def test_an_expert_whose_servers_all_fail_is_refused_until_one_is_tried(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    slow = BreakerPolicy(in_row=2, pause_s=0.3)
    fleet = await make_fleet(law(upstreams[:1]), breaker=slow)
    engine = engine_of(fleet)
    upstreams[0].health = answers({})
    upstreams[0].says(*[refuses(500, "oh no")] * 2)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="oh no"):
            await engine.complete(QUESTION, ANY)
    refusal = engine.refusal()
    assert isinstance(refusal, CircuitOpen)
    with pytest.raises(CircuitOpen, match=r"failed too often just now.*oh no") as told:
        await engine.complete(QUESTION, ANY)
    assert told.value.retry_after_s
    assert len(upstreams[0].bodies) == 2
    assert (await engine.health()).ok
    assert "failed too often" in (await fleet.health())["law"].detail
    async with asyncio.timeout(5):
        while engine.refusal():
            await asyncio.sleep(0.02)
    assert (await engine.complete(QUESTION, ANY)).text == "Paris it is"
    assert engine.replicas[0].circuit is Circuit.CLOSED


async def test_a_server_that_does_not_answer_the_lookout_is_asked_last(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    upstreams[0].health = upstreams[1].health = answers({}, 503)
    upstreams[2].health = answers({})
    await Lookout(lambda: [engine]).look()
    for i in range(5):
        await engine.complete(Question.of(f"who {i}"), ANY)
    assert asked(upstreams) == [0, 0, 5]


async def test_a_server_without_metrics_is_not_asked_for_them_each_time(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams)))
    lookout = Lookout(lambda: [engine])
    for _ in range(5):
        await lookout.look()
    assert upstreams[0].paths.count("/metrics") == 1


async def test_a_server_that_is_asked_alone_and_answers_is_never_looked_at(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams[:1])))
    await Lookout(lambda: [engine]).look()
    assert upstreams[0].paths == []


async def test_limits_send_away_who_comes_when_the_queue_is_full(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    engine = engine_of(await make_fleet(law(upstreams[:1], limits=Limits(1, queue=1))))
    upstreams[0].says(upstreams[0].hangs, upstreams[0].hangs)
    tasks = [asyncio.create_task(engine.complete(QUESTION, ANY)) for _ in range(2)]
    await upstreams[0].asked.wait()
    assert isinstance(engine.refusal(), ExpertBusy)
    with pytest.raises(ExpertBusy):
        await engine.complete(QUESTION, ANY)
    assert len(upstreams[0].bodies) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert engine.refusal() is None


async def test_servers_that_stay_keep_what_is_known_of_them(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    fleet = await make_fleet(law(upstreams[:2]))
    engine = engine_of(fleet)
    first = engine.replicas[0]
    await fleet.sync([law(upstreams)])
    grown = engine_of(fleet)
    assert grown is not engine
    assert grown.replicas[0] is first
    assert grown.admission is engine.admission


async def test_a_probe_tells_of_any_server_that_does_not_answer(
    upstreams: list[Upstream], make_fleet: MakeFleet
) -> None:
    fleet = await make_fleet()
    for upstream in upstreams:
        upstream.health = answers({})
    assert (await fleet.probe(law(upstreams))).ok
    upstreams[1].health = answers({}, 503)
    found = await fleet.probe(law(upstreams))
    assert not found.ok
    assert upstreams[1].url in found.detail
