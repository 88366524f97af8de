"""Fusion inside a real vLLM engine on CPU: the tokens and the α of the plain lock-step loop.

More requests than the engine runs at a time, fused and plain ones, of many lengths, prompts read in
pieces, and so little room for their caches that some are preempted and resumed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from orchestrator.engines.http import create_client
from orchestrator.engines.managed import ManagedSettings, ManagedVllm
from orchestrator.engines.vllm import VllmSpec

_MISSING = [name for name in ("vllm", "peft") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("default"),  # of transformers and PEFT
    pytest.mark.timeout(600),
    pytest.mark.vllm,
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

ROOT = Path(__file__).resolve().parents[2]
DYNAMIC = {"kind": "dynamic", "solver": "grid", "step": 0.25}
STATIC = {"kind": "static", "alpha": [0.75, 0.5]}
TIGHT: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_num_seqs": 8,
    "max_num_batched_tokens": 32,
    "block_size": 32,
    "num_gpu_blocks_override": 16,
    "enable_prefix_caching": False,
}
"""Room for half of the requests that run: 8 of at most 96 tokens need 24 blocks of 32."""


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


@dataclass(frozen=True)
class Pool:
    """The folders of the models, and of the traces."""

    large: str
    base: str
    law: str
    other: str
    traces: Path

    @property
    def block(self) -> dict[str, Any]:
        small = {"base": {"model": self.base}, "law": {"model": self.base, "adapter": self.law}}
        return {
            "small": small | {"other": {"model": self.other}},
            "fusions": {
                "lawyer": {"base": "base", "experts": ["law"], "mode": DYNAMIC},
                "both": {"base": "base", "experts": ["law", "other"], "mode": STATIC},
            },
            "traces": str(self.traces),
        }

    @property
    def fusing(self) -> dict[str, Any]:
        """The engine's arguments that make it fuse."""
        return {
            "logits_processors": "aggregator.fusion.vllm_v1:Fusion",
            "additional_config": {"fusion": self.block},
        }


@dataclass(frozen=True)
class Asked:
    """A request: its number gives it a prompt, a length and a fusion, if any."""

    number: int

    @property
    def fusion(self) -> str | None:
        return ("lawyer", "both", None)[self.number % 3]

    @property
    def prompt(self) -> list[int]:
        length = 2 + 7 * (self.number % 7)
        return [(13 * self.number + i * i) % 90 + 2 for i in range(length)]

    @property
    def tokens(self) -> int:
        return 6 + 5 * (self.number % 8)

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "large", "prompt": self.prompt, "temperature": 0.0}
        body |= {"max_tokens": self.tokens, "ignore_eos": True, "return_token_ids": True}
        if self.fusion:
            body["vllm_xargs"] = {"fusion": self.fusion, "fusion_trace": f"r{self.number}"}
        return body


REQUESTS = [Asked(number) for number in range(24)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    from tests.aggregator.fusion.tiny_models import write_adapter, write_model

    home = tmp_path_factory.mktemp("pool")
    base = write_model(home / "base", "qwen2", seed=1)
    return Pool(
        write_model(home / "large", "llama", seed=4, size=64, heads=2),
        base,
        write_adapter(home / "law", base, seed=3),
        write_model(home / "other", "llama", seed=2),
        home / "traces",
    )


@asynccontextmanager
async def served(pool: Pool, home: Path, args: dict[str, Any]) -> AsyncIterator[Any]:
    """A function that posts to a running engine, with these arguments."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    settings = ManagedSettings(home, sys.executable, os.environ | {"PYTHONPATH": path})
    spec = VllmSpec("large", pool.large, 96, TIGHT | args, {})
    async with create_client() as client:
        process = ManagedVllm(spec, settings, client, _SystemClock())
        process.start()
        try:
            await process.wait_ready(300)
            yield _posting(client, process.base_url)
        finally:
            await process.stop()


def _posting(client: httpx.AsyncClient, url: str) -> Any:
    async def call(path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        if body is None:
            return await client.get(url + path)
        return await client.post(url + path, json=body, timeout=300)

    return call


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fusing(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    async with served(pool, tmp_path_factory.mktemp("fusing"), pool.fusing) as call:
        yield call


async def asked(call: Any, requests: list[Asked]) -> list[list[int]]:
    """The tokens of each answer; requests come in waves, while others are being answered."""

    async def one(position: int, request: Asked) -> list[int]:
        await asyncio.sleep(0.02 * (position // 4))
        answer = await call("/v1/completions", request.body)
        assert answer.status_code == 200, answer.text
        tokens: list[int] = answer.json()["choices"][0]["token_ids"]
        return tokens

    return list(await asyncio.gather(*(one(i, request) for i, request in enumerate(requests))))


async def preemptions(call: Any) -> float:
    text = (await call("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("vllm:num_preemptions_total")]
    return sum(float(line.split()[-1]) for line in lines)


def reference(pool: Pool, request: Asked) -> Any:
    """The steps of the lock-step loop over transformers' models."""
    from aggregator.fusion.modes import mode_of
    from aggregator.fusion.reference import Part, decode
    from tests.aggregator.fusion.tiny_models import alone

    def part(model: str, adapter: str | None = None) -> Part:
        return Part(alone(model, adapter=adapter).model, tuple(request.prompt))

    experts = [part(pool.base, pool.law)]
    experts += [part(pool.other)] if request.fusion == "both" else []
    mode = mode_of(STATIC if request.fusion == "both" else DYNAMIC)
    return decode(part(pool.large), part(pool.base), experts, mode, tokens=request.tokens)


async def test_a_mixed_batch_is_what_the_lock_step_loop_says(
    pool: Pool, fusing: Any, tmp_path: Path
) -> None:
    found = await asked(fusing, REQUESTS)
    assert await preemptions(fusing) > 0
    for request, tokens in zip(REQUESTS, found, strict=True):
        if request.fusion is not None:
            steps = reference(pool, request)
            assert tokens == [step.token for step in steps]
            alphas = [alpha for step in steps for alpha in step.alpha]
            assert traced(pool, request) == pytest.approx(alphas, abs=1e-3)
    plain = [request for request in REQUESTS if request.fusion is None]
    async with served(pool, tmp_path, {}) as call:
        assert await asked(call, plain) == [
            tokens for request, tokens in zip(REQUESTS, found, strict=True) if not request.fusion
        ]


def traced(pool: Pool, request: Asked) -> list[float]:
    """α by step and expert; of a step that was computed again, the last."""
    lines = (pool.traces / f"r{request.number}.jsonl").read_text().splitlines()
    steps = {line["step"]: tuple(line["alpha"].values()) for line in map(json.loads, lines)}
    return [alpha for step in range(request.tokens) for alpha in steps[step]]


async def test_a_fused_answer_differs_from_the_large_models(pool: Pool, fusing: Any) -> None:
    fused = REQUESTS[0]
    body = fused.body
    del body["vllm_xargs"]
    plain = (await fusing("/v1/completions", body)).json()["choices"][0]["token_ids"]
    assert (await asked(fusing, [fused]))[0] != plain


async def test_what_cannot_be_had_is_refused_with_the_reason(fusing: Any) -> None:
    body = REQUESTS[0].body
    for xargs, said in [
        ({"fusion": "doctor"}, "fusion 'doctor' is not known to this engine; it has 'both', "),
        ({"fusion": "both", "fusion_trace": "../up"}, "cannot be the name of a trace"),
    ]:
        answer = await fusing("/v1/completions", body | {"vllm_xargs": xargs})
        assert answer.status_code == 400
        assert said in answer.json()["error"]["message"]
    assert (await fusing("/health")).status_code == 200


async def test_logprobs_are_the_large_models_before_fusion(pool: Pool, fusing: Any) -> None:
    """vLLM's default; ``--logprobs-mode processed_logprobs`` reports them after fusion."""
    from tests.aggregator.fusion.tiny_models import alone

    request = REQUESTS[0]
    answer = await fusing("/v1/completions", request.body | {"logprobs": 1, "max_tokens": 1})
    choice = answer.json()["choices"][0]
    said = alone(pool.large).logits(request.prompt).log_softmax(0)
    assert math.isclose(
        choice["logprobs"]["token_logprobs"][0], float(said[choice["token_ids"][0]]), abs_tol=1e-3
    )
