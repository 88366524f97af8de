"""vLLM asked without the product: started, asked by a plain HTTP client, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx

from coterie.types import Expert
from orchestrator.engines.vllm import HOST, VllmSpec, build_command
from orchestrator.jobs.own_item import OwnItem

START_S = 900.0
STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """One engine from its start to its end: seconds, and what it answered meanwhile."""

    expert: str
    load_s: float
    answer_s: float
    stop_s: float
    questions: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """A whole order of questions, by what the first ones took; ``by``: the figures, by expert."""

    seconds: float
    load_s: float
    loads: dict[str, int]
    tokens: int
    by: dict[str, Any]


def runs(items: Sequence[OwnItem]) -> list[list[OwnItem]]:
    """Questions that follow each other and go to the same expert."""
    return [list(run) for _, run in groupby(items, key=lambda item: item.expert)]


def first(items: Sequence[OwnItem], n: int) -> Sequence[OwnItem]:
    """The first ``n`` or more: until every expert is among them."""
    everybody = {item.expert for item in items}
    while {item.expert for item in items[:n]} < everybody:
        n += 1
    return items[:n]


def extrapolate(found: Sequence[Stretch], items: Sequence[OwnItem]) -> Extrapolated:
    """Means by expert, times its loads and its questions in all of ``items``."""
    loads = Counter(run[0].expert or "" for run in runs(items))
    asked = Counter(item.expert or "" for item in items)
    by: dict[str, Any] = {}
    parts: defaultdict[str, list[Stretch]] = defaultdict(list)
    for one in found:
        parts[one.expert].append(one)
    for name, some in parts.items():
        questions = sum(s.questions for s in some)
        by[name] = {
            "swap_s": sum(s.load_s + s.stop_s for s in some) / len(some),
            "question_s": sum(s.answer_s for s in some) / questions,
            "question_tokens": sum(s.tokens for s in some) / questions,
            "timed_loads": len(some),
            "timed_questions": questions,
            "loads": loads[name],
            "questions": asked[name],
        }
    load_s = sum(b["swap_s"] * b["loads"] for b in by.values())
    answer_s = sum(b["question_s"] * b["questions"] for b in by.values())
    tokens = round(sum(b["question_tokens"] * b["questions"] for b in by.values()))
    return Extrapolated(load_s + answer_s, load_s, dict(loads), tokens, by)


async def stretch(
    expert: Expert, items: Sequence[OwnItem], home: Path, python: str, *, together: bool = True
) -> Stretch:
    """Starts the engine, asks all at once, or one after the other, and stops it."""
    began = time.monotonic()
    async with _engine(expert, home, python) as client:
        ready = time.monotonic()
        if together:
            tokens = await asyncio.gather(*(_ask(client, item) for item in items))
        else:
            tokens = [await _ask(client, item) for item in items]
        answered = time.monotonic()
    stopped = time.monotonic()
    return Stretch(
        expert.name,
        ready - began,
        answered - ready,
        stopped - answered,
        len(items),
        sum(tokens),
    )


async def _ask(client: httpx.AsyncClient, item: OwnItem) -> int:
    """The tokens of the answer."""
    body = {
        "model": item.expert,
        "messages": [m.as_dict() for m in item.question.messages],
        "temperature": item.sampling.temperature,
        "max_tokens": item.sampling.max_tokens,
    }
    response = await client.post("/v1/chat/completions", json=body)
    response.raise_for_status()
    return int(response.json()["usage"]["completion_tokens"])


@asynccontextmanager
async def _engine(expert: Expert, home: Path, python: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the engine, once it is healthy; the very command the product would run."""
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command = build_command(
        VllmSpec.of(expert, []),
        model=expert.model,
        adapters=[],
        port=port,
        python=python,
        environ=os.environ,
    )
    with (home / f"{expert.name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command.argv, env=command.env, stdout=log, stderr=log, start_new_session=True
        )
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=f"http://{HOST}:{port}", timeout=None, limits=limits, trust_env=False
    ) as client:
        try:
            await _healthy(client, process, home / f"{expert.name}.log")
            yield client
        finally:
            await _stop(process)


async def _healthy(
    client: httpx.AsyncClient, process: asyncio.subprocess.Process, log: Path
) -> None:
    async with asyncio.timeout(START_S):
        while True:
            if process.returncode is not None:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise SystemExit(f"the engine ended with {process.returncode}:\n{tail}")
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health", timeout=2.0)).is_success:
                    return
            await asyncio.sleep(0.1)


async def _stop(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind((HOST, 0))
        return int(opened.getsockname()[1])
