"""Puts a worker together from the settings: its node's engines, the shared queue, the database."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from coterie.clock import SystemClock
from coterie.db import Database
from coterie.errors import ConfigurationError
from coterie.types import Expert
from orchestrator import schema
from orchestrator.engines.machine_report import read_machine
from orchestrator.engines.node import open_node
from orchestrator.engines.residency import NodeResidency
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.scheduling.learned import Learned
from orchestrator.scheduling.planned import Planned
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.settings import Settings
from orchestrator.workers.worker import Node, Worker, WorkerSettings
from skills.expert_store import ExpertStore
from skills.experts import Registry

log = logging.getLogger(__name__)

REFRESH_EVERY_S = 15.0
LOOK_S = 1.0
"""Between two looks at a registry that has nobody yet: the server fills it as it starts."""
BEATS = 3
"""Heartbeats in the time after which a silent worker counts as dead."""
TELL_S = 2.0
"""Between two heartbeats at most: they tell those who look on how the worker is."""


def shared_queue(settings: Settings) -> RedisQueue | None:
    """The queue behind REDIS_URL, if there is one; it connects at its first use."""
    if settings.redis_url is None:
        return None
    return RedisQueue.from_url(
        settings.redis_url, prefix=settings.queue_prefix, ttl_s=settings.worker_ttl_s
    )


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[Worker]:
    """A worker that can be run; its engines end with it.

    Raises:
        ConfigurationError: there is no queue to share, or no room for an engine.
    """
    if settings.engine_slots == 0:
        raise ConfigurationError(
            "a worker without a slot serves nothing: COTERIE_ENGINE_SLOTS=0 is for a server beside "
            "it; give the worker 1 or more"
        )
    queue = shared_queue(settings)
    if queue is None:
        raise ConfigurationError(
            "a worker takes its work from a queue, and REDIS_URL names none; set it here and for "
            "`coterie serve`, or run no worker: the server then works jobs off itself"
        )
    await schema.ensure(settings.database_url)
    database = Database(settings.database_url)
    try:
        async with open_node(settings, home=settings.home / "worker") as residency:
            known = KnownExperts(Registry(ExpertStore(database)), residency)
            await known.refresh()
            async with known.kept_fresh():
                units = UnitStore(database, Seal(settings.seal_key_file, settings.seal_key))
                yield _worker(settings, queue, units, residency, known)
    finally:
        await database.close()
        await queue.aclose()


def _worker(
    settings: Settings,
    queue: RedisQueue,
    units: UnitStore,
    residency: NodeResidency,
    known: KnownExperts,
) -> Worker:
    learned = Learned(
        residency.sleeps,
        lambda engine, seconds: log.info("engine %r is up after %.1f s", engine, seconds),
    )
    return Worker(
        name_of_this_life(settings),
        Node(
            residency,
            known.names,
            residency.load,
            learned.loaded,
            slots=settings.engine_slots or 1,
            machine=read_machine,
        ),
        queue,
        units,
        clock=SystemClock(),
        planner=Planned.of_slots(
            settings.engine_slots or 1, learned.figures, sleeps=residency.sleeps
        ),
        settings=WorkerSettings(
            beat_s=min(TELL_S, settings.worker_ttl_s / BEATS), grace_s=settings.worker_grace_s
        ),
    )


def name_of_this_life(settings: Settings) -> str:
    """A name that no other worker has, nor this one after a restart."""
    return f"{settings.worker_name or socket.gethostname()}-{secrets.token_hex(3)}"


@dataclass
class KnownExperts:
    """The enabled experts of the registry, and the node's engines made to fit them."""

    registry: Registry
    residency: NodeResidency
    _enabled: Sequence[Expert] = field(default=(), init=False)

    def names(self) -> Sequence[str]:
        """The experts of the last refresh."""
        return [expert.name for expert in self._enabled]

    async def refresh(self) -> None:
        """Reads the registry anew."""
        experts = await self.registry.list()
        await self.residency.sync(experts)
        self._enabled = [expert for expert in experts if expert.enabled]

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Refreshes again and again; while the database is away, what was read last holds."""
        task = asyncio.create_task(self._keep_fresh(), name="keep-fresh")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY_S if self._enabled else LOOK_S)
            try:
                await self.refresh()
            except Exception as error:
                log.warning("registry not refreshed, the last one read holds: %r", error)
