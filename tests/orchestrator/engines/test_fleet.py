"""The fleet: engines for experts, and processes that follow the registry.

Its managed engines are a stand-in for vLLM (``stub_vllm.py``), so that supervision is tested
without a model; a real one is in ``tests/flows/test_real_vllm_engine.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from coterie.errors import EngineTimeout, EngineUnavailable
from coterie.types import Expert, ExpertKind, Question, Sampling
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.managed import ManagedSettings
from orchestrator.engines.orphans import alive
from orchestrator.engines.restart import RestartPolicy
from tests.orchestrator.engines.engine_clocks import SystemClock
from tests.orchestrator.engines.engine_upstream import Upstream, answers

MakeFleet = Callable[..., Fleet]
QUESTION = Question.of("who")
ANY = Sampling()
OWN = Expert("own", ExpertKind.VLLM, "org/model")


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An "interpreter" that runs the stand-in, whatever module it is asked for."""
    stub = Path(__file__).with_name("stub_vllm.py")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stub}" "$@"\n')
    script.chmod(0o700)
    return str(script)


@pytest.fixture
def make_fleet(tmp_path: Path, client: httpx.AsyncClient, python: str) -> MakeFleet:
    def make(**environ: str) -> Fleet:
        settings = ManagedSettings(
            tmp_path / "home",
            python,
            {"PATH": os.environ["PATH"], **environ},
            restart=RestartPolicy(base_delay_s=0.01, max_delay_s=0.05, max_deaths=3),
            grace_s=2.0,
            starting_poll_s=0.02,
            healthy_poll_s=0.05,
        )
        return Fleet(client, settings, clock=SystemClock(), rng=random.Random(0))

    return make


@pytest.fixture
async def fleet(make_fleet: MakeFleet) -> AsyncIterator[Fleet]:
    async with make_fleet(LAW_KEY="sk-1") as entered:
        yield entered


def _lora(name: str, folder: Path) -> Expert:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
    return Expert(name, ExpertKind.LORA, "", base="own", adapter=str(folder))


async def _until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(10):
        while not (value := condition()):
            await asyncio.sleep(0.02)
    return value


class TestHosted:
    async def test_an_expert_elsewhere_is_asked_with_its_model_and_key(
        self, fleet: Fleet, upstream: Upstream
    ) -> None:
        expert = Expert(
            "law", ExpertKind.OPENAI, "gpt", endpoint=upstream.url, api_key_env="LAW_KEY"
        )
        remote = Expert("remote", ExpertKind.LORA, "tuned", base="law")
        await fleet.sync([expert, remote])
        for name in ("law", "remote"):
            assert (await fleet.engine(name).complete(QUESTION, ANY)).expert == name
        assert [body["model"] for body in upstream.bodies] == ["gpt", "tuned"]
        assert {headers["authorization"] for headers in upstream.headers} == {"Bearer sk-1"}

    async def test_an_engine_is_kept_while_its_expert_stays_the_same(
        self, fleet: Fleet, upstream: Upstream
    ) -> None:
        expert = Expert("law", ExpertKind.OPENAI, "gpt", endpoint=upstream.url)
        await fleet.sync([expert])
        first = fleet.engine("law")
        await fleet.sync([replace(expert, description="better")])
        assert fleet.engine("law") is first
        await fleet.sync([replace(expert, model="gpt-2")])
        assert fleet.engine("law") is not first

    async def test_a_key_that_is_not_set_is_named(self, fleet: Fleet, upstream: Upstream) -> None:
        expert = Expert("law", ExpertKind.OPENAI, "gpt", endpoint=upstream.url, api_key_env="NO_K")
        await fleet.sync([expert])
        with pytest.raises(EngineUnavailable, match="'NO_K'"):
            fleet.engine("law")

    async def test_who_is_not_in_the_fleet_is_told_who_is(
        self, fleet: Fleet, upstream: Upstream
    ) -> None:
        await fleet.sync([Expert("law", ExpertKind.OPENAI, "gpt", endpoint=upstream.url)])
        with pytest.raises(EngineUnavailable, match="'law'"):
            fleet.engine("nobody")

    async def test_one_that_hangs_delays_no_other(self, fleet: Fleet, upstream: Upstream) -> None:
        upstream.health = answers({})
        with _deaf_server() as url:
            well = Expert("well", ExpertKind.OPENAI, "gpt", endpoint=upstream.url)
            deaf = Expert("deaf", ExpertKind.OPENAI, "gpt", endpoint=url)
            await fleet.sync([well, deaf, replace(well, name="homeless", endpoint=None)])
            started = time.monotonic()
            health = await fleet.health()
            assert time.monotonic() - started < 4
            assert {n: h.ok for n, h in health.items()} == {
                "well": True,
                "deaf": False,
                "homeless": False,
            }
            assert await fleet.health() is health


class TestManaged:
    async def test_a_base_and_its_adapters_share_one_process(
        self, fleet: Fleet, tmp_path: Path
    ) -> None:
        await fleet.sync([OWN, _lora("a", tmp_path / "a"), _lora("b", tmp_path / "b")])
        with pytest.raises(EngineUnavailable, match=r"'a'.*(preparing|starting)"):
            fleet.engine("a")
        progress: list[str] = []
        await fleet.wait_ready(10.0, lambda name, doing: progress.append(f"{name}: {doing}"))
        assert progress[-1] == "own: ready"
        texts = [(await fleet.engine(n).complete(QUESTION, ANY)).text for n in ("own", "a", "b")]
        (process,) = fleet.describe()
        assert texts == [f"{name} by {process.pid}" for name in ("own", "a", "b")]
        assert process.state == "ready"
        assert process.serves == ("own", "a", "b")
        assert process.restarts == 0
        assert "--max-lora-rank=8" in Path(process.log_path).read_text()
        assert all(health.ok for health in (await fleet.health()).values())

    async def test_syncing_again_changes_nothing_and_a_new_command_restarts(
        self, fleet: Fleet
    ) -> None:
        await fleet.sync([OWN])
        await fleet.wait_ready(10.0)
        first = fleet.describe()[0].pid
        assert first is not None
        process = psutil.Process(first)
        await fleet.sync([replace(OWN, prompt_price=3.0)])
        assert fleet.describe()[0].pid == first
        await fleet.sync([replace(OWN, context_length=99)])
        assert not alive(process)
        await fleet.wait_ready(10.0)
        assert fleet.describe()[0].pid != first

    async def test_who_is_disabled_is_stopped(self, fleet: Fleet) -> None:
        await fleet.sync([OWN])
        await fleet.wait_ready(10.0)
        process = psutil.Process(fleet.describe()[0].pid)
        await fleet.sync([replace(OWN, enabled=False)])
        assert not fleet.describe()
        assert not alive(process)
        with pytest.raises(EngineUnavailable, match="not in the fleet"):
            fleet.engine("own")

    async def test_a_killed_engine_comes_back_and_is_unavailable_meanwhile(
        self, fleet: Fleet
    ) -> None:
        await fleet.sync([OWN])
        await fleet.wait_ready(10.0)
        first = fleet.describe()[0].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await _until(lambda: fleet.describe()[0].state != "ready")
        with pytest.raises(EngineUnavailable, match="SIGKILL"):
            fleet.engine("own")
        await _until(lambda: fleet.describe()[0].state == "ready")
        assert fleet.describe()[0].restarts == 1
        assert (await fleet.engine("own").complete(QUESTION, ANY)).text.startswith("own by")

    async def test_waiting_for_one_that_dies_fails_at_once_with_its_last_words(
        self, fleet: Fleet
    ) -> None:
        await fleet.sync([replace(OWN, engine_args={"env": {"STUB": "dies"}})])
        with pytest.raises(EngineUnavailable, match="told to die"):
            await fleet.wait_ready(60.0)
        await _until(lambda: fleet.describe()[0].state == "failed")
        assert "told to die" in (await fleet.health())["own"].detail

    async def test_waiting_has_an_end(self, fleet: Fleet) -> None:
        await fleet.sync([replace(OWN, engine_args={"env": {"STUB": "deaf"}})])
        with pytest.raises(EngineTimeout, match="starting"):
            await fleet.wait_ready(0.2)

    @pytest.mark.parametrize(
        "changes",
        [{"engine_args": {"port": 1}}, {"model": "package:no_such_package_anywhere"}],
    )
    async def test_what_cannot_be_started_says_why(
        self, fleet: Fleet, changes: dict[str, Any]
    ) -> None:
        await fleet.sync([replace(OWN, **changes)])
        with pytest.raises(EngineUnavailable, match=r"engine_args|no_such_package"):
            await fleet.wait_ready(10.0)
        assert fleet.describe()[0].state == "failed"

    async def test_leaving_the_fleet_ends_every_process(self, make_fleet: MakeFleet) -> None:
        async with make_fleet() as fleet:
            await fleet.sync([OWN, replace(OWN, name="a/../b")])
            await fleet.wait_ready(10.0)
            processes = [psutil.Process(info.pid) for info in fleet.describe()]
        assert len(processes) == 2
        assert not [process for process in processes if alive(process)]


@contextmanager
def _deaf_server() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
