"""Works jobs off in the process that has them, with the engines it keeps: no Redis, no worker.

The same queue port, the same worker: what ``coterie worker`` does on other machines.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence

from coterie.clock import SystemClock
from coterie.ports import Clock
from coterie.types import Expert
from orchestrator.engines.all_awake import AllAwake, Engines
from orchestrator.engines.machine_report import read_machine
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.planned import Planned
from orchestrator.scheduling.pressure import LoadSignal
from orchestrator.scheduling.stay import Planner
from orchestrator.scheduling.work import Units
from orchestrator.workers.worker import Node, Worker, WorkerSettings, no_signal

log = logging.getLogger(__name__)

TELL_S = 2.0
"""Between two heartbeats, by which those who look on see how the worker is."""
PAUSE_S = 1.0
"""Between a worker that failed and the next."""
ROOM = 1_000_000
"""Engines that may be up at a time where all are, whatever the worker thinks of it."""


class EmbeddedWorker:
    """A queue of this process, and the worker that serves it with the engines of ``node``."""

    def __init__(
        self,
        units: Units,
        node: Node,
        *,
        planner: Planner | None = None,
        settings: WorkerSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.queue = InProcessQueue(self._clock)
        self._units = units
        self._node = node
        self._planner = planner or Planned.of_slots(ROOM)
        self._settings = settings or WorkerSettings(beat_s=TELL_S)

    async def run(self) -> None:
        """Works until it is cancelled; a worker that fails is told of, and followed by another."""
        while True:
            try:
                await self._life().run()
            except Exception:
                log.exception("the worker of this process failed; another takes its place")
            await asyncio.sleep(PAUSE_S)

    def _life(self) -> Worker:
        return Worker(
            f"embedded-{os.getpid()}-{secrets.token_hex(3)}",
            self._node,
            self.queue,
            self._units,
            clock=self._clock,
            planner=self._planner,
            settings=self._settings,
        )


def kept_up(
    engines: Engines,
    experts: Callable[[], Sequence[Expert]],
    loaded: Callable[[str, float], None] = lambda engine, seconds: None,
    signal: Callable[[str], Awaitable[LoadSignal | None]] = no_signal,
) -> Node:
    """The node of engines that are all up, whoever keeps them so.

    ``experts`` gives the registered ones as they are now; ``loaded`` hears which engine was waited
    for, and how many seconds.
    """
    return Node(
        AllAwake(engines, experts),
        lambda: _enabled(experts()),
        signal,
        loaded,
        machine=read_machine,
    )


def _enabled(experts: Sequence[Expert]) -> Sequence[str]:
    return [expert.name for expert in experts if expert.enabled]
