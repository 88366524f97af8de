"""Whatever is asked and moved in whatever order: no sleep while busy, no gibberish, true tiers.

The engines are imitations inside the test's own loop, so that starting one costs milliseconds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coterie.errors import EngineError
from coterie.ports import Engine
from coterie.types import Expert, ExpertKind, Question, Sampling
from orchestrator.engines.control import VllmControl
from orchestrator.engines.http import create_client
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.placement import Placement, make_plan
from orchestrator.engines.residency import NodeResidency
from orchestrator.engines.retry import RetryPolicy
from orchestrator.engines.target import Target
from orchestrator.engines.vllm import VllmSpec
from orchestrator.scheduling.residency import Tier
from tests.imitation.answers import answer_tokens
from tests.imitation.app import Served
from tests.imitation.core import Core, Pace
from tests.imitation.start import Running
from tests.orchestrator.engines.engine_clocks import SystemClock

NAMES = ("a", "b")
SLOTS = 1
FAILING = ("sleep", "wake_up", "collective_rpc", "reset_prefix_cache")


class LoopProcess:
    """What ``ManagedVllm`` is to a residency, without a process."""

    def __init__(self, spec: VllmSpec, client: httpx.AsyncClient) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.cores: list[Core] = []
        self._client = client
        self._server: Running | None = None
        self._starting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        return self.pid is not None and not self.core.dead.is_set()

    @property
    def core(self) -> Core:
        return self.cores[-1]

    @property
    def url(self) -> str:
        return self._server.url if self._server else "http://127.0.0.1:9"

    @property
    def control(self) -> VllmControl:
        return VllmControl(self.spec.name, self.url, self._client)

    def start(self) -> None:
        self.cores.append(Core(Pace(sleep_s=0.001, wake_s=0.001)))
        served = Served(self.core, self.spec.name, "m", dev_mode=True, words=(3, 12))
        self._server = Running(served)
        self._starting = asyncio.create_task(self._server.start())

    async def wait_ready(self, timeout_s: float) -> None:
        assert self._starting, "it was started"
        await asyncio.shield(self._starting)  # as a process, it starts whoever waits
        self.pid = len(self.cores)

    async def stop(self) -> None:
        self.pid = None
        starting, self._starting = self._starting, None
        if starting and self._server:
            self._ending = asyncio.create_task(self._end(starting, self._server))
        if self._ending:
            await asyncio.shield(self._ending)  # as a process, it ends whoever waits

    async def _end(self, starting: asyncio.Task[None], server: Running) -> None:
        await starting
        self.core.die()
        await server.stop()

    async def adopt(self, spec: VllmSpec) -> bool:
        return False


class LoopFleet:
    """What ``Fleet`` is to a residency, over such processes."""

    on_gpu = True

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.processes: dict[str, LoopProcess] = {}
        self.placements: Mapping[str, Placement] = {}

    async def sync(self, experts: Sequence[Expert]) -> None:
        plan = make_plan(experts)
        self.placements = plan.placements
        self.processes = {n: LoopProcess(s, self.client) for n, s in plan.processes.items()}

    def placement(self, name: str) -> Placement:
        return self.placements[name]

    def engine(self, name: str) -> Engine:
        return OpenAIEngine(
            Target(name, self.processes[name].url, name),
            self.client,
            clock=SystemClock(),
            rng=random.Random(0),
            retry=RetryPolicy(max_tries=1),
        )


class World:
    """A node, everything under way on it, and what must always be so."""

    def __init__(self, fleet: LoopFleet, node: NodeResidency) -> None:
        self.fleet = fleet
        self.node = node
        self.tasks: list[asyncio.Task[None]] = []
        self.asked = 0

    async def do(self, what: str, name: str, value: Any) -> None:
        if what == "move":
            self.tasks.append(asyncio.create_task(self._move(name, value)))
        elif what == "ask":
            self.asked += 1
            self.tasks.append(asyncio.create_task(self._ask(name, f"question {self.asked % 3}")))
        elif what == "fail" and self.fleet.processes[name].cores:
            self.fleet.processes[name].core.failing[value] = 1
        elif what == "kill" and self.fleet.processes[name].pid:
            await self.fleet.processes[name].stop()
        elif what == "abandon" and self.tasks:
            self.tasks[value % len(self.tasks)].cancel()
        elif what == "let go on":
            await asyncio.sleep(value / 1000)
        elif what == "finish":
            await self.finish()
        self.check()

    async def _move(self, name: str, tier: Tier) -> None:
        try:
            await self.node.move(name, tier)
        except EngineError:
            return

    async def _ask(self, name: str, text: str) -> None:
        try:
            said = await self.node.engine(name).complete(Question.of(text), Sampling())
        except EngineError:
            return
        sound = answer_tokens(name, [{"role": "user", "content": text}], words=(3, 12))
        assert said.text == "".join(sound)

    async def finish(self) -> None:
        tasks, self.tasks = self.tasks, []
        async with asyncio.timeout(20):
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result
        for name, tier in self.node.tiers().items():
            assert tier is self.truth(name), name
            if tier is Tier.AWAKE:
                await self._ask(name, "are you well?")
                assert self.fleet.processes[name].core.seen.finished, "awake and yet no answer"

    async def round(self) -> None:
        """Everybody up once, as one slot allows, and asked."""
        for name in NAMES:
            for other in NAMES:
                await self._move(other, Tier.AWAKE if other == name else Tier.ASLEEP_2)
            await self.finish()
            self.check()

    def truth(self, name: str) -> Tier:
        process = self.fleet.processes[name]
        if process.pid is None:
            return Tier.STOPPED
        if not process.core.sleeping:
            assert not process.core.is_sleeping, "awake and paused for ever"
            return Tier.AWAKE
        # Weights that were reloaded before the last part of a wake failed may be there already.
        claimed = self.node.tiers()[name]
        known = process.core.weights_sound and "weights" in process.core.sleeping
        return Tier.ASLEEP_1 if known else claimed if claimed is Tier.ASLEEP_2 else Tier.STOPPED

    def check(self) -> None:
        cores = [core for p in self.fleet.processes.values() for core in p.cores]
        assert sum(core.seen.slept_while_busy for core in cores) == 0
        assert sum(core.seen.gibberish_tokens for core in cores) == 0
        assert sum(tier is Tier.AWAKE for tier in self.node.tiers().values()) <= SLOTS
        running = [p for p in self.fleet.processes.values() if p.pid is not None]
        assert sum(not p.core.sleeping for p in running) <= SLOTS


NAME = st.sampled_from(NAMES)
MOVES = st.tuples(st.just("move"), NAME, st.sampled_from(list(Tier)))
ASKS = st.tuples(st.just("ask"), NAME, st.none())
TROUBLE = st.one_of(
    st.tuples(st.just("fail"), NAME, st.sampled_from(FAILING)),
    st.tuples(st.just("kill"), NAME, st.none()),
    st.tuples(st.just("abandon"), NAME, st.integers(0, 20)),
)
TIME = st.one_of(
    st.tuples(st.just("let go on"), NAME, st.integers(0, 15)),
    st.tuples(st.just("finish"), NAME, st.none()),
)
ACTIONS = st.one_of(MOVES, MOVES, ASKS, ASKS, TIME, TIME, TROUBLE)
STORIES = st.lists(ACTIONS, min_size=5, max_size=25)


async def _live(story: Sequence[tuple[str, str, Any]]) -> None:
    async with create_client() as client:
        fleet = LoopFleet(client)
        node = NodeResidency(fleet, slots=SLOTS)  # type: ignore[arg-type]
        await node.sync([Expert(name, ExpertKind.VLLM, f"org/{name}") for name in NAMES])
        world = World(fleet, node)
        try:
            for action in story:
                await world.do(*action)
            await world.finish()
            await world.round()
        finally:
            for task in world.tasks:
                task.cancel()
            await asyncio.gather(*world.tasks, return_exceptions=True)
            for process in fleet.processes.values():
                await process.stop()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(STORIES)
def test_any_story_ends_well(story: Sequence[tuple[str, str, Any]]) -> None:
    asyncio.run(_live(story))


@pytest.mark.long
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(STORIES)
def test_any_of_many_stories_ends_well(story: Sequence[tuple[str, str, Any]]) -> None:
    asyncio.run(_live(story))
