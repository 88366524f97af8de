"""`coterie worker`: works jobs off with the engines of this machine."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.cli.options import the_settings
from orchestrator.observability import logs
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.workers.worker import Worker


def worker() -> None:
    """Take work from the queue in REDIS_URL, until SIGTERM or SIGINT; twice: at once."""
    settings = the_settings()
    logs.configure(settings.log_level, settings.log_format)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    # Imported here: the other commands need no queue.
    from orchestrator.workers.parts import open_worker

    told = Told()
    async with open_worker(settings) as made:
        told.worker = made
        logging.getLogger(__name__).info("worker %s takes work", made.name)
        await made.run()


class Told:
    """What the signals of a process mean to its worker: first to drain, then to end at once.

    Made in the task that runs the worker.  Before there is a worker, one signal ends the start.
    """

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._task = asyncio.current_task()
        self._times = 0
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self)

    def __call__(self) -> None:
        self._times += 1
        if self.worker and self._times == 1:
            self.worker.drain()
        elif self._task:
            self._task.cancel()
