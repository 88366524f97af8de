"""A stream over HTTP: comments while experts work, errors before and after it has begun."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from coterie.errors import EngineUnavailable
from orchestrator.engines.sse import SSEDecoder

PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2
HELLO = [{"role": "user", "content": "How many?"}]
SOON, NEVER = "0.1", "60"


@pytest.fixture
async def quick(kit: Any, tmp_path: Path, sqlite_url: str) -> AsyncIterator[Any]:
    """Three experts that talk, behind a server that is never silent for long."""
    engines = [kit.engine(n, PROSE + n) for n in "abc"]
    async with kit.running(tmp_path, sqlite_url, engines, COTERIE_STREAM_COMMENT_S=SOON) as service:
        yield service


def body(model: str = "coterie/all", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, "stream": True, **fields}


def hold(engine: Any) -> asyncio.Event:
    """Keeps the engine from answering until the event is set."""
    go, complete = asyncio.Event(), engine.complete

    async def held(*args: Any) -> Any:
        await go.wait()
        return await complete(*args)

    engine.complete = held
    return go


async def lines_of(service: Any, **fields: Any) -> list[str]:
    async with service.http.stream("POST", "/v1/chat/completions", json=body(**fields)) as found:
        assert found.status_code == 200
        return [line async for line in found.aiter_lines() if line]


async def record_of(service: Any, id: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while (found := await service.http.get(f"/v1/routes/{id}")).status_code != 200:
            await asyncio.sleep(0.01)
    record: dict[str, Any] = found.json()
    return record


async def test_comments_come_while_experts_work_and_then_the_tokens(quick: Any) -> None:
    go = hold(quick.fleet.engines["b"])
    lines: list[str] = []
    async with asyncio.timeout(10):
        async with quick.http.stream("POST", "/v1/chat/completions", json=body()) as response:
            assert response.status_code == 200
            assert response.headers["x-coterie-strategy"] == "all"
            async for line in response.aiter_lines():
                lines += [line] if line else []
                if lines.count(": waiting for a, b, c") == 3:
                    go.set()
    assert go.is_set()
    data = [line for line in lines if not line.startswith(":")]
    first = json.loads(data[0].removeprefix("data: "))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert data[-1] == "data: [DONE]"


async def test_the_official_client_reads_past_comments(quick: Any) -> None:
    go = hold(quick.fleet.engines["b"])
    stream = await quick.openai.chat.completions.create(
        model="coterie/all", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    go.set()
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == PROSE + "a"
    words = len(PROSE.split()) + 1
    assert chunks[-1].usage.total_tokens == 4 * (5 + words)
    assert chunks[-1].usage.cost_usd == 0.0


async def test_our_own_decoder_reads_past_comments() -> None:
    assert SSEDecoder().feed(b": waiting for a\n\n: still\n\ndata: x\n\n") == ["x"]


async def test_an_aggregator_that_thinks_is_told_of(quick: Any, kit: Any) -> None:
    writer = quick.fleet.engines["a"].then = kit.engine("a", "So it is.")
    go, stream = asyncio.Event(), writer.stream

    async def held(*args: Any) -> Any:
        await go.wait()
        async for chunk in stream(*args):
            yield chunk

    writer.stream = held
    async with asyncio.timeout(10):
        async with quick.http.stream("POST", "/v1/chat/completions", json=body()) as response:
            async for line in response.aiter_lines():
                if line == ": a writes":
                    go.set()
                if "So" in line:
                    break
            else:
                pytest.fail("nothing was written")


async def test_what_fails_after_a_comment_is_an_error_event(quick: Any) -> None:
    gates = [hold(engine) for engine in quick.fleet.engines.values()]
    for name, engine in quick.fleet.engines.items():
        engine.error = EngineUnavailable(name, f"gone-{name}")
    lines: list[str] = []
    async with asyncio.timeout(10):
        async with quick.http.stream("POST", "/v1/chat/completions", json=body()) as response:
            assert response.status_code == 200
            id = response.headers["x-request-id"]
            async for line in response.aiter_lines():
                lines += [line] if line else []
                for gate in gates:
                    gate.set()
    error = json.loads(lines[-2].removeprefix("data: "))["error"]
    assert error["code"] == "no_expert_available"
    assert "gone-a" in error["message"]
    assert lines[-1] == "data: [DONE]"
    assert (await record_of(quick, id))["error"] == error["message"]


async def test_what_fails_before_the_first_comment_keeps_its_status(
    kit: Any, tmp_path: Path, sqlite_url: str
) -> None:
    engines = [kit.engine(n, error=EngineUnavailable(n, "gone")) for n in "ab"]
    async with kit.running(
        tmp_path, sqlite_url, engines, COTERIE_STREAM_COMMENT_S=NEVER
    ) as service:
        assert (await service.chat(stream=True)).status_code == 503
        for engine in engines:
            engine.error, engine.text = None, ""
        for stream in (False, True):
            empty = await service.chat(model="coterie/all", stream=stream)
            assert empty.status_code == 502
            assert empty.json()["error"]["code"] == "empty_answer"
            record = await record_of(service, empty.headers["x-request-id"])
            assert record["status"] == "failed"
            assert record["usage"] == {
                "prompt_tokens": 10,
                "completion_tokens": 0,
                "total_tokens": 10,
            }
            by_name = await service.chat(model="a", stream=stream)
            assert by_name.status_code == 502
            assert "answered nothing" in by_name.json()["error"]["message"]


async def test_a_quick_answer_carries_no_comment(kit: Any, tmp_path: Path, sqlite_url: str) -> None:
    engines = [kit.engine(n, PROSE + n) for n in "abc"]
    async with kit.running(
        tmp_path, sqlite_url, engines, COTERIE_STREAM_COMMENT_S=NEVER
    ) as service:
        assert not [x for x in await lines_of(service) if x.startswith(":")]


async def test_cost_stands_in_the_answer_and_in_the_record(
    kit: Any, tmp_path: Path, sqlite_url: str
) -> None:
    async with kit.running(tmp_path, sqlite_url, [kit.engine("a", "two words")]) as service:
        priced = {"prompt_price": 3.0, "completion_price": 7.0}
        patch = {"name": "b", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
        service.fleet.engines["b"] = kit.engine("b", "three whole words")
        made = await service.http.post(
            "/admin/experts", json={**patch, **priced}, headers=service.admin
        )
        assert made.status_code == 201
        response = await service.chat(model="b")
        cost = (5 * 3 + 3 * 7) / 1e6
        assert response.json()["usage"]["cost_usd"] == pytest.approx(cost, rel=1e-12)
        record = await record_of(service, response.headers["x-request-id"])
        assert record["cost_usd"] == pytest.approx(cost, rel=1e-12)
        lines = await lines_of(service, model="b", stream_options={"include_usage": True})
        last = json.loads(lines[-2].removeprefix("data: "))
        assert last["usage"]["cost_usd"] == pytest.approx(cost, rel=1e-12)
