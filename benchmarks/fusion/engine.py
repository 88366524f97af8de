"""The product's own path: one vLLM engine of the large model that fuses by request."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.fusion.tasks import MOST_TOKENS
from orchestrator.engines.http import create_client
from orchestrator.engines.managed import ManagedSettings, ManagedVllm
from orchestrator.engines.vllm import VllmSpec

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 32
_ARGS: dict[str, Any] = {
    "dtype": "bfloat16",
    "enforce_eager": True,
    "max_num_seqs": AT_ONCE,
    "logits_processors": "aggregator.fusion.vllm_v1:Fusion",
}


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


@dataclass(frozen=True, slots=True)
class Engine:
    """One that runs; ``traces`` is where it writes the α of requests that ask for it."""

    client: httpx.AsyncClient
    url: str
    traces: Path

    async def answers(self, prompts: Sequence[str], fusion: str | None, label: str) -> list[str]:
        """An answer for each prompt, fused or the large model's own; 32 are asked at a time.

        Their α can be had by ``label``; they are written to 60 files in turn.
        """
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, prompt: str) -> str:
            async with turn:
                return await self._asked(prompt, fusion, f"{label}.{number % 60}")

        return list(await asyncio.gather(*(one(i, prompt) for i, prompt in enumerate(prompts))))

    async def _asked(self, prompt: str, fusion: str | None, trace: str) -> str:
        body: dict[str, Any] = {"model": "large", "temperature": 0.0, "max_tokens": MOST_TOKENS}
        body["messages"] = [{"role": "user", "content": prompt}]
        if fusion is not None:
            body["vllm_xargs"] = {"fusion": fusion, "fusion_trace": trace}
        url = f"{self.url}/v1/chat/completions"
        # No limit: whoever shares the machine may make all of this stand still for a while.
        answer = await self.client.post(url, json=body, timeout=None)
        answer.raise_for_status()
        return str(answer.json()["choices"][0]["message"]["content"])

    def alphas(self, label: str) -> list[dict[str, float]]:
        """α of each expert at every step that was traced."""
        files = sorted(self.traces.glob(f"{label}.*.jsonl"))
        return [json.loads(line)["alpha"] for file in files for line in file.open()]


@asynccontextmanager
async def serving(large: str, block: Mapping[str, Any], home: Path) -> AsyncIterator[Engine]:
    """An engine of ``large`` with the fusions in ``block``, ended at the end."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    room = {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "3")}
    settings = ManagedSettings(home, sys.executable, os.environ | {"PYTHONPATH": path} | room)
    traces = home / "traces"
    fusion = dict(block) | {"traces": str(traces)}
    spec = VllmSpec("large", large, 512, _ARGS | {"additional_config": {"fusion": fusion}}, {})
    async with create_client() as client:
        process = ManagedVllm(spec, settings, client, _SystemClock())
        process.start()
        try:
            await process.wait_ready(3600)
            yield Engine(client, process.base_url, traces)
        finally:
            await process.stop()
