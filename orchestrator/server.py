"""Runs the API in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil
import uvicorn
import uvloop

from orchestrator.api import create_app
from orchestrator.api.connection import connections_of
from orchestrator.bootstrap import build
from orchestrator.endings import ended
from orchestrator.observability import logs
from orchestrator.settings import Settings
from orchestrator.stopping import Stopping

LAST_S = 5
"""How long responses may take to go out once nothing runs any more."""


class Server(uvicorn.Server):
    """uvicorn's server, which ends by returning, and lets answers go on for a time before.

    uvicorn raises a signal it has caught once more when it is done, and the process would be gone
    before the engines are stopped and the last records written.

    Told to stop, it goes on listening while answers go on, for ``within_s`` at most: whoever looks
    at its readiness learns of it at once, and what is asked anew is refused with a wish to come
    again.  Told twice, it waits no longer.
    """

    def __init__(self, config: uvicorn.Config, stopping: Stopping, within_s: float) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._within_s = within_s
        self._hurry = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._stopping.begun:
            self._hurry.set()
        self._stopping.begin()
        super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        await super().main_loop()
        self._stopping.begin()
        over = asyncio.ensure_future(self._stopping.finished(self._within_s))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait((over, hurry), return_when=asyncio.FIRST_COMPLETED)
        await ended(over, hurry)
        self._stopping.end()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with _on_signals(lambda number: self.handle_exit(number, None)):
            yield


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; then requests end first, engines last."""
    this = asyncio.current_task()
    assert this is not None
    with _on_signals(lambda number: this.cancel()):  # until the server listens to them itself
        await _serve(settings)


async def _serve(settings: Settings) -> None:
    async with build(settings) as parts:
        parts.jobs.start()
        parts.batches.start()
        config = uvicorn.Config(
            create_app(parts),
            ws="none",
            http=connections_of(settings.client_timeout_s),
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level.lower(),
            access_log=False,
            log_config=None if settings.log_format == "json" else uvicorn.config.LOGGING_CONFIG,
            server_header=False,
            timeout_graceful_shutdown=LAST_S,
        )
        stopping = parts.coterie.services.stopping
        with _announced(settings), _loaded_for_good():
            await Server(config, stopping, settings.shutdown_s).serve()


@contextmanager
def _loaded_for_good() -> Iterator[None]:
    """Spares the garbage collector what start-up loaded.

    Every full collection would walk through the encoder's modules and hold all requests up for a
    third of a second.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # or libraries that count their objects at exit report them as leaked


@contextmanager
def _on_signals(react: Callable[[int], object]) -> Iterator[None]:
    """Calls ``react`` on SIGINT and SIGTERM; what was set before is set again at the end."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, react, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


@contextmanager
def _announced(settings: Settings) -> Iterator[None]:
    """Keeps ``server.json`` while this process serves, for `coterie down` and `status`."""
    path = settings.server_file
    path.parent.mkdir(parents=True, exist_ok=True)
    me = psutil.Process()
    path.write_text(
        json.dumps({"pid": me.pid, "create_time": me.create_time(), "url": settings.url})
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def run(settings: Settings) -> None:
    """The blocking form of :func:`serve`."""
    logs.configure(settings.log_level, settings.log_format)
    for chatty in ("httpx", "sentence_transformers"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # The graph library's hosted tracing must never be switched on by a stray variable.
    os.environ["LANGSMITH_TRACING"] = "false"
    with suppress(asyncio.CancelledError, KeyboardInterrupt):  # told to stop while starting
        uvloop.run(serve(settings))
