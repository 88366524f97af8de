"""Residency over real processes of the imitated vLLM: who is up, moved how, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from coterie.errors import EngineError, EngineUnavailable
from coterie.types import Expert, ExpertKind, Question, Sampling
from orchestrator.engines.all_awake import AllAwake
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.http import create_client
from orchestrator.engines.managed import ManagedSettings
from orchestrator.engines.residency import NodeResidency
from orchestrator.engines.restart import RestartPolicy
from orchestrator.engines.retry import RetryPolicy
from orchestrator.scheduling.residency import Residency, Tier
from tests.imitation.answers import answer_tokens
from tests.imitation.start import write_interpreter
from tests.orchestrator.engines.engine_clocks import SystemClock

QUESTION = Question.of("Which is it, (A) or (B)?")
ANY = Sampling(temperature=0.0)
SLOW = Sampling(temperature=0.0, max_tokens=25)
LAW = Expert("law", ExpertKind.VLLM, "org/law")
ART = Expert("art", ExpertKind.VLLM, "org/art")
FAR = Expert("far", ExpertKind.OPENAI, "gpt", endpoint="http://127.0.0.1:9")
TUNED = Expert("tuned", ExpertKind.LORA, "gpt-tuned", base="far")


def _says(expert: str) -> str:
    return "".join(answer_tokens(expert, [{"role": "user", "content": QUESTION.text}]))


class Node:
    """A residency, and a look behind it."""

    def __init__(self, fleet: Fleet, residency: NodeResidency, client: httpx.AsyncClient) -> None:
        self.fleet = fleet
        self.residency = residency
        self._client = client

    async def imitation(self, engine: str, **arrange: Any) -> dict[str, Any]:
        """What the engine saw; ``arrange`` makes it fail."""
        url = self.fleet.processes[engine].base_url + "/imitation"
        if arrange:
            await self._client.post(url, json=arrange)
        seen: dict[str, Any] = (await self._client.get(url)).json()
        return seen

    async def ask(self, expert: str, sampling: Sampling = ANY) -> str:
        return (await self.residency.engine(expert).complete(QUESTION, sampling)).text


MakeNode = Callable[..., Any]


@pytest.fixture
def make_node(tmp_path: Path) -> MakeNode:
    @asynccontextmanager
    async def make(
        *experts: Expert, on_gpu: bool = True, slots: int | None = None, **imitate: Any
    ) -> AsyncIterator[Node]:
        arguments = {f"imitate_{name}": value for name, value in imitate.items()}
        if not on_gpu:
            arguments["imitate_platform"] = "cpu"
        experts = tuple(
            replace(e, engine_args={**e.engine_args, **arguments})
            if e.kind is ExpertKind.VLLM
            else e
            for e in experts
        )
        settings = ManagedSettings(
            tmp_path / "home",
            str(write_interpreter(tmp_path)),
            {"PATH": os.environ["PATH"]},
            grace_s=2.0,
            starting_poll_s=0.02,
            healthy_poll_s=0.05,
            on_gpu=on_gpu,
        )
        async with (
            create_client() as client,
            Fleet(
                client,
                settings,
                clock=SystemClock(),
                rng=random.Random(0),
                retry=RetryPolicy(max_tries=1),
                on_demand=True,
            ) as fleet,
        ):
            residency = NodeResidency(fleet, slots=slots, start_timeout_s=60)
            await residency.sync(experts)
            yield Node(fleet, residency, client)

    return make


async def _until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(20):
        while True:
            value = condition()
            if await value if isinstance(value, Awaitable) else value:
                return
            await asyncio.sleep(0.02)


async def test_nothing_runs_until_it_is_moved(make_node: MakeNode) -> None:
    async with make_node(LAW, FAR, TUNED) as node:
        residency: Residency = node.residency
        assert residency.tiers() == {"law": Tier.STOPPED, "far": Tier.AWAKE}
        assert residency.host("tuned") == "far"
        assert node.fleet.processes["law"].pid is None
        with pytest.raises(EngineUnavailable, match="STOPPED"):
            residency.engine("law")


async def test_an_engine_elsewhere_is_always_awake_and_not_moved(make_node: MakeNode) -> None:
    async with make_node(FAR) as node:
        await node.residency.move("far", Tier.AWAKE)
        for tier in (Tier.STOPPED, Tier.ASLEEP_1):
            with pytest.raises(EngineError, match="not one of this node's"):
                await node.residency.move("far", tier)


@pytest.mark.parametrize("level", [Tier.ASLEEP_1, Tier.ASLEEP_2])
async def test_who_slept_says_the_same_as_before(make_node: MakeNode, level: Tier) -> None:
    async with make_node(LAW) as node:
        await node.residency.move("law", Tier.AWAKE)
        engine = node.residency.engine("law")
        before = (await engine.complete(QUESTION, ANY)).text
        pid = node.fleet.processes["law"].pid
        await node.residency.move("law", level)
        assert node.residency.tiers() == {"law": level}
        assert (await node.imitation("law"))["sleeping"] == ["kv_cache", "weights"]
        with pytest.raises(EngineUnavailable, match=level.name):
            await engine.complete(QUESTION, ANY)
        await node.residency.move("law", Tier.AWAKE)
        assert (await engine.complete(QUESTION, ANY)).text == before == _says("law")
        assert node.fleet.processes["law"].pid == pid


async def test_on_cpu_sleep_is_stopping(make_node: MakeNode) -> None:
    async with make_node(LAW, on_gpu=False) as node:
        await node.residency.move("law", Tier.AWAKE)
        assert await node.ask("law") == _says("law")
        await node.residency.move("law", Tier.ASLEEP_1)
        assert node.residency.tiers() == {"law": Tier.STOPPED}
        assert node.fleet.processes["law"].pid is None
        await node.residency.move("law", Tier.AWAKE)
        assert await node.ask("law") == _says("law")


async def test_a_move_waits_for_what_is_answered_and_keeps_others_out(make_node: MakeNode) -> None:
    async with make_node(LAW, step_s=0.02) as node:
        await node.residency.move("law", Tier.AWAKE)
        engine = node.residency.engine("law")
        running = asyncio.create_task(engine.complete(QUESTION, ANY))
        stream = engine.stream(QUESTION, ANY)
        first = await anext(stream)
        move = asyncio.create_task(node.residency.move("law", Tier.ASLEEP_2))
        await asyncio.sleep(0)
        with pytest.raises(EngineUnavailable, match="on its way to ASLEEP_2"):
            await engine.complete(QUESTION, ANY)
        assert (await running).text == _says("law")
        assert not move.done()
        assert first.text + "".join([c.text async for c in stream]) == _says("law")
        await move
        assert (await node.imitation("law"))["slept_while_busy"] == 0


async def test_moves_of_one_engine_come_one_after_the_other(make_node: MakeNode) -> None:
    async with make_node(LAW) as node:
        tiers = [Tier.AWAKE, Tier.ASLEEP_1, Tier.ASLEEP_2, Tier.AWAKE, Tier.ASLEEP_2]
        await asyncio.gather(*(node.residency.move("law", tier) for tier in tiers))
        assert node.residency.tiers() == {"law": Tier.ASLEEP_2}
        calls = (await node.imitation("law"))["calls"]
        assert calls["sleep"] == 3
        assert not (await node.imitation("law"))["weights_sound"]


async def test_slots_are_never_more_than_taken(make_node: MakeNode) -> None:
    async with make_node(LAW, ART, slots=1) as node:
        await node.residency.move("law", Tier.AWAKE)
        with pytest.raises(EngineUnavailable, match=r"all 1 engine slots .* by 'law'"):
            await node.residency.move("art", Tier.AWAKE)
        assert node.residency.tiers() == {"law": Tier.AWAKE, "art": Tier.STOPPED}
        await node.residency.move("law", Tier.ASLEEP_1)
        await node.residency.move("art", Tier.AWAKE)
        assert await node.ask("art") == _says("art")


class TestFailures:
    async def test_who_dies_awake_or_asleep_is_stopped_and_can_be_started_again(
        self, make_node: MakeNode
    ) -> None:
        async with make_node(LAW) as node:
            for tier in (Tier.AWAKE, Tier.ASLEEP_1):
                await node.residency.move("law", tier)
                os.kill(node.fleet.processes["law"].pid, signal.SIGKILL)
                await _until(lambda: node.residency.tiers()["law"] is Tier.STOPPED)
                await node.residency.move("law", Tier.AWAKE)
                assert await node.ask("law") == _says("law")
                assert node.fleet.processes["law"].describe().restarts == 0

    async def test_an_engine_that_dies_in_mid_answer_fails_it(self, make_node: MakeNode) -> None:
        async with make_node(LAW, dies_on="poison") as node:
            await node.residency.move("law", Tier.AWAKE)
            engine = node.residency.engine("law")
            with pytest.raises(EngineUnavailable, match="EngineCore"):
                await engine.complete(Question.of("poison"), ANY)
            await _until(lambda: node.residency.tiers()["law"] is Tier.STOPPED)

    async def test_a_failed_wake_leaves_it_asleep_and_may_be_repeated(
        self, make_node: MakeNode
    ) -> None:
        async with make_node(LAW) as node:
            for tier, fails in [
                (Tier.ASLEEP_1, "wake_up"),
                (Tier.ASLEEP_2, "wake_up"),
                (Tier.ASLEEP_2, "collective_rpc"),
                (Tier.ASLEEP_2, "reset_prefix_cache"),
            ]:
                await node.residency.move("law", tier)
                await node.imitation("law", failing={fails: 1})
                with pytest.raises(EngineUnavailable, match=f"Call to {fails} method failed"):
                    await node.residency.move("law", Tier.AWAKE)
                assert node.residency.tiers() == {"law": tier}
                await node.residency.move("law", Tier.AWAKE)
                assert await node.ask("law") == _says("law")

    async def test_an_engine_that_fails_to_fall_asleep_is_stopped(
        self, make_node: MakeNode
    ) -> None:
        async with make_node(LAW) as node:
            await node.residency.move("law", Tier.AWAKE)
            await node.imitation("law", failing={"sleep": 1})
            with pytest.raises(EngineUnavailable, match="Call to sleep method failed"):
                await node.residency.move("law", Tier.ASLEEP_2)
            assert node.residency.tiers() == {"law": Tier.STOPPED}
            assert node.fleet.processes["law"].pid is None

    async def test_a_start_that_is_abandoned_leaves_nothing_behind(
        self, make_node: MakeNode
    ) -> None:
        async with make_node(LAW, load_s=60) as node:
            start = asyncio.create_task(node.residency.move("law", Tier.AWAKE))
            await _until(lambda: node.fleet.processes["law"].pid)
            assert node.residency.tiers() == {"law": Tier.STOPPED}
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            assert node.fleet.processes["law"].pid is None

    async def test_what_cannot_start_says_why(self, make_node: MakeNode) -> None:
        wrong = replace(LAW, engine_args={"enable_sleep_mode": True})
        async with make_node(wrong, on_gpu=False) as node:
            with pytest.raises(EngineUnavailable, match="Sleep mode is not supported"):
                await node.residency.move("law", Tier.AWAKE)
            assert node.residency.tiers() == {"law": Tier.STOPPED}

    async def test_an_abandoned_sleep_is_finished_first(self, make_node: MakeNode) -> None:
        async with make_node(LAW, sleep_s=0.3) as node:
            await node.residency.move("law", Tier.AWAKE)
            move = asyncio.create_task(node.residency.move("law", Tier.ASLEEP_1))
            await _until(lambda: _calls(node, "sleep"))
            move.cancel()
            with pytest.raises(asyncio.CancelledError):
                await move
            assert node.residency.tiers() == {"law": Tier.ASLEEP_1}
            await node.residency.move("law", Tier.AWAKE)
            assert await node.ask("law") == _says("law")


async def _calls(node: Node, name: str) -> int:
    return int((await node.imitation("law"))["calls"].get(name, 0))


class TestAdapters:
    @staticmethod
    def _lora(tmp_path: Path, name: str, rank: int = 8) -> Expert:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
        return Expert(name, ExpertKind.LORA, "", base="law", adapter=str(folder))

    async def test_they_come_and_go_while_the_base_runs(
        self, make_node: MakeNode, tmp_path: Path
    ) -> None:
        tax, tort = self._lora(tmp_path, "tax"), self._lora(tmp_path, "tort")
        base = replace(LAW, engine_args={"max_loras": 3})
        async with make_node(base) as node:
            await node.residency.move("law", Tier.AWAKE)
            pid = node.fleet.processes["law"].pid
            for loras in ([tax], [tax, tort], [tort]):
                await node.residency.sync([base, *loras])
                for lora in loras:
                    assert node.residency.host(lora.name) == "law"
                    assert await node.ask(lora.name) == _says(lora.name)
                names = [lora.name for lora in loras]
                assert (await node.imitation("law"))["adapters"] == names
            assert node.fleet.processes["law"].pid == pid
            await node.residency.move("law", Tier.ASLEEP_2)
            await node.residency.move("law", Tier.AWAKE)
            assert await node.ask("tort") == _says("tort")

    async def test_one_that_does_not_fit_in_is_a_restart(
        self, make_node: MakeNode, tmp_path: Path
    ) -> None:
        tax, deep = self._lora(tmp_path, "tax"), self._lora(tmp_path, "deep", rank=64)
        async with make_node(LAW, tax) as node:
            await node.residency.move("law", Tier.AWAKE)
            pid = node.fleet.processes["law"].pid
            await node.residency.sync([LAW, tax, deep])
            assert node.residency.tiers() == {"law": Tier.STOPPED}
            await node.residency.move("law", Tier.AWAKE)
            assert node.fleet.processes["law"].pid != pid
            assert await node.ask("deep") == _says("deep")

    async def test_a_sleeping_base_is_stopped_for_them(
        self, make_node: MakeNode, tmp_path: Path
    ) -> None:
        base = replace(LAW, engine_args={"max_loras": 3})
        async with make_node(base) as node:
            await node.residency.move("law", Tier.ASLEEP_2)
            await node.residency.sync([base, self._lora(tmp_path, "tax")])
            await node.residency.move("law", Tier.AWAKE)
            assert await node.ask("tax") == _says("tax")


async def test_an_expert_that_is_gone_ends_once_it_has_answered(make_node: MakeNode) -> None:
    async with make_node(LAW, FAR, step_s=0.02) as node:
        await node.residency.move("law", Tier.AWAKE)
        running = asyncio.create_task(node.residency.engine("law").complete(QUESTION, ANY))
        await _until(lambda: _calls_running(node))
        sync = asyncio.create_task(node.residency.sync([FAR]))
        assert (await running).text == _says("law")
        await sync
        assert node.residency.tiers() == {"far": Tier.AWAKE}
        with pytest.raises(EngineUnavailable, match="not in the fleet"):
            node.residency.engine("law")


async def _calls_running(node: Node) -> bool:
    return bool((await node.imitation("law"))["requests"])


async def test_a_fleet_that_keeps_all_up_is_a_residency_too(tmp_path: Path) -> None:
    settings = ManagedSettings(
        tmp_path,
        str(write_interpreter(tmp_path)),
        {"PATH": os.environ["PATH"]},
        restart=RestartPolicy(base_delay_s=0.01),
        starting_poll_s=0.02,
    )
    clock, rng = SystemClock(), random.Random(0)
    async with create_client() as client, Fleet(client, settings, clock=clock, rng=rng) as fleet:
        await fleet.sync([LAW, FAR])
        residency: Residency = AllAwake(fleet, lambda: [LAW, FAR], start_timeout_s=60)
        assert residency.tiers() == {"law": Tier.STOPPED, "far": Tier.AWAKE}
        await residency.move("law", Tier.AWAKE)
        assert residency.tiers() == {"law": Tier.AWAKE, "far": Tier.AWAKE}
        assert (await residency.engine("law").complete(QUESTION, ANY)).text == _says("law")
        with pytest.raises(EngineError, match="keeps all its engines up"):
            await residency.move("law", Tier.STOPPED)
