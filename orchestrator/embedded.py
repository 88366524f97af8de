"""Works jobs off in the process that has them, with the engines it keeps up: no Redis, no worker.

The same queue port, the same worker: what ``coterie worker`` does on other machines.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Sequence

from coterie.clock import SystemClock
from coterie.ports import Clock
from coterie.types import Expert
from orchestrator.engines.all_awake import AllAwake, Engines
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.planned import Planned
from orchestrator.scheduling.work import Units
from orchestrator.worker import Node, Worker, WorkerSettings

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""Between a worker that failed and the next."""
ROOM = 1_000_000
"""Engines that may be up at a time: all are, whatever the worker thinks of it."""


class EmbeddedWorker:
    """A queue of this process, and the worker that serves it.

    ``experts`` gives the registered ones as they are now; ``loaded`` hears which engine was waited
    for, and how many seconds.
    """

    def __init__(
        self,
        units: Units,
        engines: Engines,
        experts: Callable[[], Sequence[Expert]],
        *,
        loaded: Callable[[str, float], None] = lambda engine, seconds: None,
        settings: WorkerSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.queue = InProcessQueue(self._clock)
        self._units = units
        self._settings = settings
        residency = AllAwake(engines, experts)
        self._node = Node(residency, lambda: _enabled(experts()), loaded=loaded)

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
            planner=Planned.of_slots(ROOM),
            settings=self._settings,
        )


def _enabled(experts: Sequence[Expert]) -> Sequence[str]:
    return [expert.name for expert in experts if expert.enabled]
