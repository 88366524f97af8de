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

import psutil
import uvicorn
import uvloop

from orchestrator.api import create_app
from orchestrator.bootstrap import build
from orchestrator.settings import Settings

GRACE_S = 10


class Server(uvicorn.Server):
    """uvicorn's server, which ends by returning.

    uvicorn raises a signal it has caught once more when it is done, and the process would be gone
    before the engines are stopped and the last records written.
    """

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
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level.lower(),
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        with _announced(settings), _loaded_for_good():
            await Server(config).serve()


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
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "sentence_transformers"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # The graph library's hosted tracing must never be switched on by a stray variable.
    os.environ["LANGSMITH_TRACING"] = "false"
    with suppress(asyncio.CancelledError, KeyboardInterrupt):  # told to stop while starting
        uvloop.run(serve(settings))
