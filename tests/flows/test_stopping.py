"""A gateway that is told to stop: not ready at once, and what runs ends well, or with an error."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.serving import free_port
from tests.flows.components import ROOT, environment, light_encoder, python
from tests.flows.gateway import USAGE, Call, Gateway, completion, event, gateway, servers


async def until_told(call: Call) -> None:
    """Begins to answer, and ends when the test says so."""
    if call.streams:
        await call.head(kind="text/event-stream")
        await call.send(event(delta={"content": "forty"}))
    await GO.wait()
    if call.streams:
        await call.send(event(delta={"content": " two"}), event(finish_reason="stop"))
        await call.send(f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\ndata: [DONE]\n\n")
    else:
        await call.says(completion("forty two"))


GO = asyncio.Event()


@pytest.fixture(autouse=True)
def go() -> asyncio.Event:
    global GO
    GO = asyncio.Event()
    return GO


async def asked(upstream: Any, calls: int) -> None:
    async with asyncio.timeout(5):
        while len(upstream.calls) < calls:
            await asyncio.sleep(0.01)


def stop(found: Gateway) -> None:
    found.server.handle_exit(signal.SIGTERM, None)


async def test_what_runs_may_finish_and_nothing_new_is_begun(
    tmp_path: Path, sqlite_url: str, go: asyncio.Event
) -> None:
    async with servers(until_told) as (slow,):
        experts = [{"name": "slow", "endpoint": slow.url}]
        environ = {"COTERIE_SHUTDOWN_S": "10", "COTERIE_REQUEST_TIMEOUT_S": "30"}
        async with gateway(tmp_path, experts, database_url=sqlite_url, **environ) as found:
            running = [asyncio.create_task(found.chat(stream=s)) for s in (False, True)]
            await asked(slow, 2)
            assert (await found.http.get("/health/readiness")).status_code == 200
            stop(found)
            ready = await found.http.get("/health/readiness")
            assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
            assert (await found.http.get("/health")).status_code == 200
            for stream in (False, True):
                refused = await found.chat(stream=stream)
                assert refused.status_code == 503
                assert refused.json()["error"]["code"] == "shutting_down"
                assert int(refused.headers["retry-after"]) > 0
            go.set()
            plain, streamed = await asyncio.gather(*running)
            assert plain.json()["choices"][0]["message"]["content"] == "forty two"
            assert "error" not in streamed.text
            assert streamed.text.endswith("data: [DONE]\n\n")
            async with asyncio.timeout(5):
                await asyncio.shield(found.serving)
            with pytest.raises(httpx.ConnectError):
                await found.http.get("/health")


async def test_what_is_not_over_in_time_ends_with_an_error(tmp_path: Path, sqlite_url: str) -> None:
    async with servers(until_told) as (slow,):
        experts = [{"name": "slow", "endpoint": slow.url}]
        environ = {"COTERIE_SHUTDOWN_S": "0.2", "COTERIE_REQUEST_TIMEOUT_S": "30"}
        async with gateway(tmp_path, experts, database_url=sqlite_url, **environ) as found:
            running = [asyncio.create_task(found.chat(stream=s)) for s in (False, True)]
            await asked(slow, 2)
            began = time.monotonic()
            stop(found)
            plain, streamed = await asyncio.gather(*running)
            assert time.monotonic() - began < 3
            assert plain.status_code == 503
            assert plain.json()["error"]["code"] == "shutting_down"
            *_, last, done = [line for line in streamed.text.splitlines() if line]
            assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
            assert done == "data: [DONE]"
            assert "forty" in streamed.text


async def test_told_twice_it_waits_no_longer(tmp_path: Path, sqlite_url: str) -> None:
    async with servers(until_told) as (slow,):
        experts = [{"name": "slow", "endpoint": slow.url}]
        environ = {"COTERIE_SHUTDOWN_S": "60", "COTERIE_REQUEST_TIMEOUT_S": "30"}
        async with gateway(tmp_path, experts, database_url=sqlite_url, **environ) as found:
            running = asyncio.create_task(found.chat(stream=True))
            await asked(slow, 1)
            stop(found)
            stop(found)
            async with asyncio.timeout(5):
                assert "shutting_down" in (await running).text


async def test_the_command_ends_well_on_sigterm(tmp_path: Path, go: asyncio.Event) -> None:
    async with servers(until_told) as (slow,):
        entry = {"name": "slow", "kind": "openai", "model": "m", "endpoint": slow.url}
        (tmp_path / "experts.yaml").write_text(json.dumps({"experts": [entry]}))
        (tmp_path / "light").mkdir()
        port = free_port()
        environ = environment(
            PYTHONPATH=str(light_encoder(tmp_path / "light")),
            COTERIE_HOME=str(tmp_path),
            COTERIE_CONFIG=str(tmp_path / "experts.yaml"),
            COTERIE_EMBEDDING_MODEL="counted-words",
            COTERIE_PORT=str(port),
        )
        argv = python("orchestrator.cli", "serve")
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
                await _up(http, process)
                messages = [{"role": "user", "content": "How many?"}]
                body = {"model": "slow", "messages": messages, "stream": True}
                running = asyncio.create_task(http.post("/v1/chat/completions", json=body))
                await asked(slow, 1)
                os.kill(process.pid, signal.SIGTERM)
                async with asyncio.timeout(5):
                    while (await http.get("/health/readiness")).status_code != 503:
                        await asyncio.sleep(0.01)
                go.set()
                assert "error" not in (await running).text
            async with asyncio.timeout(30):
                while process.poll() is None:
                    await asyncio.sleep(0.05)
            assert process.returncode == 0, (tmp_path / "log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)


async def _up(http: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(90):
        while process.poll() is None:
            try:
                if (await http.get("/health/readiness")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError("the server ended as it started")
