"""Every expert's engine, and the processes behind those that are ours.

``sync`` makes the fleet what the registry says; ``engine`` hands out engines that can be asked.
Which engine serves whom is decided in ``placement``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from coterie.errors import CircuitOpen, EngineError, EngineUnavailable
from coterie.ports import Clock, Engine
from coterie.types import Expert, Health
from orchestrator.engines.admission import Admission
from orchestrator.engines.balanced import BalancedEngine
from orchestrator.engines.breaker import BreakerPolicy
from orchestrator.engines.http import Client
from orchestrator.engines.lookout import Lookout
from orchestrator.engines.managed import ManagedSettings, ManagedVllm, ProcessInfo, Progress
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.orphans import reap
from orchestrator.engines.placement import Placement, Plan, make_plan
from orchestrator.engines.replica import Replica
from orchestrator.engines.restart import NEVER
from orchestrator.engines.retry import RetryPolicy
from orchestrator.engines.signals import LoadSignal
from orchestrator.engines.target import Target
from orchestrator.engines.vllm import VllmSpec

T = TypeVar("T")

_HEALTH_KEPT_S = 1.0
_HEALTH_TIMEOUT_S = 3.0


class Fleet:
    """The engines of all enabled experts.

    Used as ``async with Fleet(...)``: entering ends what an earlier run left behind, leaving ends
    every process.  ``client`` stays its owner's to close, after the fleet, and so does ``outside``,
    which reaches servers that are not ours, where it is another one.  API keys are looked
    up by name in ``managed.environ``, at each :meth:`engine`.  The fleet keeps every managed engine
    up; with ``on_demand`` it starts none by itself, nor one that died: ``residency`` does.
    """

    def __init__(
        self,
        client: Client,
        managed: ManagedSettings,
        *,
        clock: Clock,
        rng: random.Random,
        retry: RetryPolicy | None = None,
        on_demand: bool = False,
        breaker: BreakerPolicy | None = None,
        outside: Client | None = None,
    ) -> None:
        self._client = client
        self._outside = outside or client
        self._managed = replace(managed, restart=NEVER) if on_demand else managed
        self._on_demand = on_demand
        self._clock = clock
        self._rng = rng
        self._retry = retry or RetryPolicy()
        self._plan = Plan()
        self._processes: dict[str, ManagedVllm] = {}
        self._breaker = breaker
        self._engines: dict[str, _Known] = {}
        self._lookout = Lookout(self._handed_out)
        self._sync_lock = asyncio.Lock()
        self._health_lock = asyncio.Lock()
        self._health: tuple[float, Mapping[str, Health]] | None = None

    async def __aenter__(self) -> Self:
        for record in _records(self._managed.home):
            await reap(record, grace_s=self._managed.grace_s)
        self._lookout.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lookout.aclose()
        await self.sync(())

    async def sync(self, experts: Sequence[Expert]) -> None:
        """Makes the fleet serve the enabled ones of ``experts``; doing so twice changes nothing.

        Pass the disabled ones too: an adapter's base may be among them.  Starts in the background
        what is needed anew, restarts an engine whose command would be another, and returns once
        those not needed have ended.  On a GPU adapters come and go without a restart.
        """
        async with self._sync_lock:
            plan = make_plan(experts)
            self._plan = plan
            self._forget(plan)
            specs = plan.processes
            stay = {n for n, p in self._processes.items() if await _stays(p, specs.get(n))}
            obsolete = self._processes.keys() - stay
            await _all(self._processes.pop(name).stop() for name in obsolete)
            for name in specs.keys() - self._processes.keys():
                process = ManagedVllm(specs[name], self._managed, self._client, self._clock)
                self._processes[name] = process
                if not self._on_demand:
                    process.start()

    def engine(self, name: str) -> Engine:
        """The engine of expert ``name``.

        Raises:
            EngineUnavailable: it is starting, down, wrongly configured or not in the fleet; the
                message says which.
        """
        return self._engine_at(self.placement(name))

    @property
    def engines(self) -> Mapping[str, BalancedEngine]:
        """The engines that were handed out, by expert: their replicas, breakers and queues."""
        return {name: known.engine for name, known in self._engines.items()}

    def _handed_out(self) -> list[BalancedEngine]:
        return list(self.engines.values())

    @property
    def placements(self) -> Mapping[str, Placement]:
        """Where every enabled expert is served, but those with a problem."""
        return self._plan.placements

    def placement(self, name: str) -> Placement:
        """Where expert ``name`` is served; raises EngineUnavailable where it is not."""
        if problem := self._plan.problems.get(name):
            raise EngineUnavailable(name, problem)
        placement = self._plan.placements.get(name)
        if placement is None:
            known = ", ".join(map(repr, self._plan.placements)) or "none"
            raise EngineUnavailable(
                name, f"it is not in the fleet; enable it or ask one of these: {known}"
            )
        return placement

    @property
    def processes(self) -> Mapping[str, ManagedVllm]:
        """The managed engines, by the base expert each serves."""
        return self._processes

    @property
    def on_gpu(self) -> bool:
        """Whether the managed engines run on a GPU."""
        return self._managed.on_gpu

    async def load(self, engine: str) -> LoadSignal | None:
        """What a managed engine says of its load; None where it is not one of these.

        Raises:
            EngineError: it is not up, or does not answer.
        """
        process = self._processes.get(engine)
        return await process.control.load() if process else None

    async def health(self) -> Mapping[str, Health]:
        """Every enabled expert's health, at most a second old.

        All are asked at once and for three seconds at most: one that hangs delays no other.
        """
        async with self._health_lock:
            now = self._clock.monotonic()
            if self._health is None or now - self._health[0] >= _HEALTH_KEPT_S:
                self._health = (now, await self._ask_health())
            return self._health[1]

    async def probe(self, expert: Expert) -> Health:
        """Whether ``expert``, which is not in the fleet, could be asked: only for kind ``openai``.

        Asks its server for its health and, where it lists its models, for this one.
        """
        try:
            plan = make_plan([replace(expert, enabled=True)])
            if problem := plan.problems.get(expert.name):
                return Health(False, problem)
            placement = plan.placements[expert.name]
            targets = self._targets(placement, self._urls(placement))
        except EngineError as error:
            return Health(False, str(error))
        for found in await _all(_probed(self._asking(target)) for target in targets):
            if not found.ok:
                return found
        return Health(True)

    async def wait_ready(self, timeout_s: float, on_progress: Progress | None = None) -> None:
        """Returns once every managed engine takes requests.

        Raises:
            EngineUnavailable: one died or cannot be started.
            EngineTimeout: one is not ready after ``timeout_s``.
        """
        await _all(p.wait_ready(timeout_s, on_progress) for p in self._processes.values())

    def describe(self) -> Sequence[ProcessInfo]:
        """The managed engines, by name."""
        return [self._processes[name].describe() for name in sorted(self._processes)]

    def _forget(self, plan: Plan) -> None:
        self._health = None
        for name in self._engines.keys() - plan.placements.keys():
            del self._engines[name]

    def _targets(self, placement: Placement, urls: Sequence[str]) -> tuple[Target, ...]:
        expert = placement.expert
        one = Target(
            expert=expert.name,
            base_url="",
            model=placement.model,
            api_key=self._api_key(placement),
            api_key_env=placement.api_key_env,
            defaults=expert.defaults,
            ours=placement.process is not None,
            fusion=expert.name if placement.fusion else None,
        )
        return tuple(replace(one, base_url=url) for url in urls)

    def _urls(self, placement: Placement) -> tuple[str, ...]:
        if placement.process is None:
            return placement.endpoints
        process = self._processes.get(placement.process)
        if process is None:
            raise EngineUnavailable(placement.expert.name, "its engine is being replaced")
        try:
            return (process.base_url,)
        except EngineUnavailable as error:
            # The reason names the base; the caller asked for this expert.
            raise EngineUnavailable(
                placement.expert.name, process.why_not_ready(), retry_after_s=error.retry_after_s
            ) from None

    def _api_key(self, placement: Placement) -> str | None:
        name = placement.api_key_env
        if name is None:
            return None
        if not self._managed.environ.get(name):
            raise EngineUnavailable(
                placement.expert.name,
                f"the environment variable {name!r} with its key is not set; "
                "set it and start again",
            )
        return self._managed.environ[name]

    def _engine_at(self, placement: Placement) -> BalancedEngine:
        """The engine for ``placement``: the same one as before, unless its targets have changed."""
        name, urls = placement.expert.name, self._urls(placement)
        known = self._engines.get(name)
        if known and known.placement is placement and known.urls == urls:
            return known.engine
        targets = self._targets(placement, urls)
        before = known.engine.replicas if known else ()
        if known and tuple(replica.target for replica in before) == targets:
            engine = known.engine
        else:
            engine = self._over([self._replica(target, before) for target in targets], known)
        engine.admission.limits = placement.expert.limits
        self._engines[name] = _Known(placement, urls, engine)
        return engine

    def _over(self, replicas: Sequence[Replica], known: _Known | None) -> BalancedEngine:
        name = replicas[0].target.expert
        return BalancedEngine(
            name,
            replicas,
            known.engine.admission if known else Admission(name, self._clock),
            clock=self._clock,
            rng=self._rng,
            retry=self._retry,
        )

    def _replica(self, target: Target, before: Sequence[Replica]) -> Replica:
        """The one at ``target``, as it is known from before where it is."""
        for replica in before:
            if replica.target == target:
                return replica
        return Replica(target, self._asking(target), self._clock, self._breaker)

    def _asking(self, target: Target) -> OpenAIEngine:
        once = replace(self._retry, max_tries=1)
        client = self._client if target.ours else self._outside
        return OpenAIEngine(target, client, clock=self._clock, rng=self._rng, retry=once)

    async def _ask_health(self) -> Mapping[str, Health]:
        names = [*self._plan.placements, *self._plan.problems]
        return dict(zip(names, await _all(map(self._health_of, names)), strict=True))

    async def _health_of(self, name: str) -> Health:
        try:
            engine = self._engine_at(self.placement(name))
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                found = await engine.health()
            refusal = engine.refusal()
            open_ = found.ok and isinstance(refusal, CircuitOpen)
            return Health(False, str(refusal)) if open_ else found
        except EngineError as error:
            return Health(False, str(error))
        except TimeoutError:
            return Health(False, f"expert {name!r}: no answer in {_HEALTH_TIMEOUT_S:g} s")


@dataclass(frozen=True, slots=True)
class _Known:
    """An engine that was handed out, and what it was made of."""

    placement: Placement
    urls: tuple[str, ...]
    engine: BalancedEngine


async def _probed(engine: OpenAIEngine) -> Health:
    found = await engine.health()
    return await engine.has_model() if found.ok else found


async def _stays(process: ManagedVllm, spec: VllmSpec | None) -> bool:
    return spec is not None and (process.spec == spec or await process.adopt(spec))


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; the first failure ends the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _records(home: Path) -> list[Path]:
    return sorted((home / "run").glob("*.json"))
