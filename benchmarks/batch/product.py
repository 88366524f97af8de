"""A job run as the product runs it, on engines of its own, one of them up at a time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coterie import __version__
from coterie.clock import SystemClock
from coterie.db import Database, utcnow
from coterie.ports import Task
from coterie.types import Expert, Grade, Item, Question
from orchestrator import schema
from orchestrator.endings import ended
from orchestrator.engines.node import open_node
from orchestrator.engines.residency import NodeResidency
from orchestrator.engines.signals import LoadSignal
from orchestrator.jobs.ground import Ground, Tally
from orchestrator.jobs.item_store import ItemStore
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.own_item import OwnItem
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.runner import Runner
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.store import JobStore
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.routing import Policy
from orchestrator.scheduling.cluster import EngineFigures
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.planned import Planned
from orchestrator.settings import Settings
from orchestrator.workers.worker import Node, Worker
from skills.infer import Inferred
from skills.knowledge import Knowledge


@dataclass(frozen=True, slots=True)
class Done:
    """What a job came to; seconds.  ``most_at_once``: requests an engine said it ran, at most."""

    progress: JobProgress
    seconds: float
    load_s: float
    loads: Mapping[str, int]
    most_at_once: int


@dataclass(frozen=True, slots=True)
class Routed:
    """A task's questions with their experts; ``task`` grades."""

    task: Task
    routed: Sequence[OwnItem]
    name: str = "routed"

    @property
    def secret(self) -> bool:
        return self.task.secret

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return self.routed

    def grade(self, item: Item, output: str) -> Grade:
        return self.task.grade(item, output)


class Nobody:
    """Infers nothing: every question names its expert."""

    async def infer(self, question: Question) -> Inferred:
        raise AssertionError("nobody is to be chosen")


class Product:
    """Jobs, worker and residency in ``home``, with one slot; ``python`` has vLLM."""

    version = __version__

    def __init__(self, home: Path, python: str, experts: Sequence[Expert]) -> None:
        own = {name: v for name, v in os.environ.items() if not name.startswith("COTERIE_")}
        ours = {
            "COTERIE_HOME": str(home),
            "COTERIE_VLLM_PYTHON": python,
            "COTERIE_ENGINE_SLOTS": "1",
            "COTERIE_GPU": "0",
            "COTERIE_REQUEST_TIMEOUT_S": "3600",
        }
        own = {k: v for k, v in own.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        self._settings = Settings.load({**own, **ours})
        self._experts = experts
        self._queue = InProcessQueue(SystemClock())
        self._most = 0

    async def run(self, task: Task, items: Sequence[OwnItem]) -> Done:
        """The job, from its start until every question has its result."""
        settings = self._settings
        await schema.upgrade(settings.database_url)
        database, tally = Database(settings.database_url), Tally()
        try:
            async with open_node(settings, home=settings.home / "node") as residency:
                await residency.sync(self._experts)
                ground = self._ground(database, Routed(task, items), tally)
                working = asyncio.create_task(self._worker(ground, residency).run())
                try:
                    return await self._job(ground, tally)
                finally:
                    await ended(working)
        finally:
            await database.close()

    async def _job(self, ground: Ground, tally: Tally) -> Done:
        now, began = utcnow(), time.monotonic()
        job = Job("measured", JobSpec("routed"), JobState.QUEUED, now, now)
        await ground.jobs.add(job)
        await ground.jobs.take(job.id, "benchmark")
        runner = Runner(ground, await ground.jobs.get(job.id), "benchmark")
        state = await runner.run()
        seconds = time.monotonic() - began
        if state is not JobState.DONE:
            raise SystemExit(f"the job is {state}: {(await ground.jobs.get(job.id)).error}")
        return Done(runner.progress, seconds, tally.load_s, dict(tally.loads), self._most)

    def _worker(self, ground: Ground, residency: NodeResidency) -> Worker:
        """As ``coterie worker`` puts it together, with the queue of one process."""
        figures: dict[str, EngineFigures] = {}
        names = [e.name for e in self._experts]

        def loaded(engine: str, seconds: float) -> None:
            ground.tally.loaded(engine, seconds)
            before = figures.get(engine) or EngineFigures(engine, 1.0, sleeps=residency.sleeps)
            figures[engine] = replace(before, load_s=seconds)

        async def load(engine: str) -> LoadSignal | None:
            signal = await residency.load(engine)
            self._most = max(self._most, signal.running if signal else 0)
            return signal

        return Worker(
            "benchmark",
            Node(residency, lambda: names, load, loaded),
            self._queue,
            ground.units,
            clock=SystemClock(),
            planner=Planned.of_slots(1, figures, sleeps=residency.sleeps),
        )

    def _ground(self, database: Database, task: Task, tally: Tally) -> Ground:
        seal = Seal(self._settings.seal_key_file)
        known = {e.name: e for e in self._experts}

        async def knowledge(name: str | None) -> Knowledge:
            return Knowledge()

        async def describe(experts: Sequence[Expert]) -> Mapping[str, Any]:
            return {}

        async def load_task(spec: JobSpec) -> Task:
            return task

        return Ground(
            JobStore(database),
            ItemStore(database, seal),
            UnitStore(database, seal),
            self._queue,
            Nobody(),
            Policy(),
            lambda: known,
            knowledge,
            describe,
            load_task,
            tally,
        )
