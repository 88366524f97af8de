"""Real vLLM engines, asked for batches of which every token's time is kept, and their memory."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from orchestrator.engines.managed import ManagedSettings, ManagedVllm
from orchestrator.engines.vllm import VllmSpec

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one batch took: ``first_s`` until every row had a token, ``step_s`` the median time from
    one token of a row to its next after that, ``memory_mib`` the memory half way."""

    first_s: float
    step_s: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: ``core`` is the process that computes."""

    url: str
    core: psutil.Process
    client: httpx.AsyncClient

    @property
    def memory_mib(self) -> float:
        """Its own resident memory now: no pages of files, such as weights that were read."""
        lines = Path(f"/proc/{self.core.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))

    async def take(self, prompts: list[list[int]], tokens: int, ask: Mapping[str, Any]) -> Taken:
        """Has all prompts continued by ``tokens`` at the same time, as one request."""
        body = {
            "model": "model",
            "prompt": prompts,
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
        }
        started = time.perf_counter()
        times: list[list[float]] = [[] for _ in prompts]
        memory_mib = 0.0
        async for row, at in self._tokens(body | {"temperature": 0.0} | dict(ask)):
            times[row].append(at)
            if len(times[0]) == tokens // 2 and not memory_mib:
                memory_mib = self.memory_mib
        if {len(row) for row in times} != {tokens}:
            raise RuntimeError("tokens came several at a time: their times cannot be told")
        together = max(row[0] for row in times)
        steps = [b - a for row in times for a, b in pairwise(row) if a >= together]
        return Taken(together - started, median(steps), memory_mib)

    async def _tokens(self, body: Mapping[str, Any]) -> AsyncIterator[tuple[int, float]]:
        """The row of each token, and when it came."""
        url = f"{self.url}/v1/completions"
        async with self.client.stream("POST", url, json=body, timeout=600) as answer:
            if answer.is_error:
                raise RuntimeError((await answer.aread()).decode())
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    at = time.perf_counter()
                    yield json.loads(line[6:])["choices"][0]["index"], at


class _SystemClock:
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


@asynccontextmanager
async def running(
    home: Path, model: Path, arguments: Mapping[str, Any], adapters: Mapping[str, str]
) -> AsyncIterator[Engine]:
    """An engine started as Coterie starts its own, with this repository's code within reach."""
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    settings = ManagedSettings(home, sys.executable, environ)
    spec = VllmSpec("model", str(model), 1024, arguments, adapters)
    async with httpx.AsyncClient(trust_env=False) as client:
        process = ManagedVllm(spec, settings, client, _SystemClock())
        process.start()
        try:
            await process.wait_ready(600)
            yield Engine(process.base_url, largest(process.pid), client)
        finally:
            await process.stop()


def largest(pid: int | None) -> psutil.Process:
    """The process with the most memory among ``pid`` and its children: it has the weights."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return max(family, key=lambda process: process.memory_info().rss)


def drawn(rows: int, length: int, seed: int) -> list[list[int]]:
    """Prompts of tokens that every model here reads, never the same twice."""
    draw = random.Random(f"{seed} {rows}")
    return [[draw.randrange(1000, 100_000) for _ in range(length)] for _ in range(rows)]
