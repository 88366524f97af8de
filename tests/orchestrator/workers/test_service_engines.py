"""A service with fewer slots than engines, whose processes imitate vLLM."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coterie.errors import ConfigurationError, EngineUnavailable
from coterie.types import Question, Sampling
from evals.tasks.demo import DemoTask
from orchestrator.bootstrap import build
from orchestrator.inquiry import Delta, Inquiry
from orchestrator.jobs.job import JobSpec
from orchestrator.parts import Parts
from orchestrator.profiling import ProfilingPlan
from orchestrator.settings import Settings
from orchestrator.workers.parts import open_worker
from tests.imitation.start import write_interpreter

NAMES = ("law", "math", "sql")
SHORT = Sampling(temperature=0.0, max_tokens=4)


@asynccontextmanager
async def service(kit: Any, home: Path, database_url: str, slots: int) -> AsyncIterator[Parts]:
    arguments = {"imitate_platform": "cpu", "imitate_step_s": 0.001}
    config = home / "experts.yaml"
    entries = [
        {"name": name, "kind": "vllm", "model": f"org/{name}", "engine_args": arguments}
        for name in NAMES
    ]
    config.write_text(json.dumps({"experts": entries}))
    settings = Settings.load(
        {
            "COTERIE_HOME": str(home),
            "COTERIE_CONFIG": str(config),
            "COTERIE_VLLM_PYTHON": str(write_interpreter(home)),
            "COTERIE_GPU": "0",
            "COTERIE_ENGINE_SLOTS": str(slots),
            "COTERIE_ONLINE_WAIT_S": "1",
            "DATABASE_URL": database_url,
        }
    )
    async with build(settings, inference=kit.inference()) as parts:
        yield parts


def processes(parts: Parts) -> list[str]:
    return [p.name for p in parts.fleet.describe() if p.pid is not None]  # type: ignore[attr-defined]


def inquiry(expert: str, **fields: object) -> Inquiry:
    given = {"id": "t", "model": expert, "question": Question.of("Why?"), "sampling": SHORT}
    given["strategy"] = "symbolic"
    return Inquiry(**{**given, "expert": expert, **fields})  # type: ignore[arg-type]


async def test_experts_take_turns_in_one_slot_for_chats_profiles_and_jobs(
    kit: Any, tmp_path: Path, sqlite_url: str
) -> None:
    async with service(kit, tmp_path, sqlite_url, slots=1) as parts:
        assert processes(parts) == []
        health = await parts.fleet.health()
        assert all(h.ok and "stopped" in h.detail for h in health.values())

        for name in ("law", "math"):
            outcome = await parts.coterie.run(inquiry(name))
            assert outcome.answer.expert == name
            assert processes(parts) == [name]
        streamed = [e async for e in parts.coterie.stream(inquiry("sql", stream=True))]
        assert [e for e in streamed if isinstance(e, Delta)]
        assert processes(parts) == ["sql"]

        parts.profiling.start(ProfilingPlan(DemoTask(), limit=40))
        async with asyncio.timeout(60):
            while parts.profiling.state.status == "running":
                await asyncio.sleep(0.05)
        assert parts.profiling.state.status == "done", parts.profiling.state
        assert [p.done for p in parts.profiling.state.progress] == [40, 40, 40]

        job = await parts.jobs.run(JobSpec("demo", "all", limit=30, sampling=SHORT))
        assert job.state == "done"
        assert job.progress
        loads = dict(job.progress.loads)
        assert set(loads.values()) == {1}
        assert len(loads) in (2, 3)  # whoever was up already is not loaded again
        assert len(processes(parts)) == 1


async def test_without_slots_the_service_starts_nothing_and_says_so(
    kit: Any, tmp_path: Path, sqlite_url: str
) -> None:
    async with service(kit, tmp_path, sqlite_url, slots=0) as parts:
        assert not any(h.ok for h in (await parts.fleet.health()).values())
        with pytest.raises(EngineUnavailable, match="COTERIE_ENGINE_SLOTS is 0"):
            await parts.coterie.run(inquiry("law"))
        assert processes(parts) == []


async def test_a_worker_needs_a_slot(tmp_path: Path, sqlite_url: str) -> None:
    settings = Settings.load({"COTERIE_HOME": str(tmp_path), "COTERIE_ENGINE_SLOTS": "0"})
    with pytest.raises(ConfigurationError, match="COTERIE_ENGINE_SLOTS=0"):
        async with open_worker(settings):
            raise AssertionError("it opened")
