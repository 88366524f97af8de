"""Ways to start the imitation: as managed engines' interpreter, or inside a test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn

from tests.imitation.app import Served, make_app

_ROOT = Path(__file__).parents[2]


def write_interpreter(folder: Path) -> Path:
    """An "interpreter" for ``COTERIE_VLLM_PYTHON``: it runs the imitation whatever it is asked for.

    Asked with ``-c`` what is installed, it names the vLLM that is imitated.
    ``-m vllm.entrypoints.openai.api_server`` before the flags is taken as one of those to ignore.
    """
    script = folder / "python-with-imitated-vllm"
    script.write_text(
        '#!/bin/sh\n[ "$1" = -c ] && { echo vllm 0.32.0; exit; }\n'
        f'cd "{_ROOT}" && exec "{sys.executable}" -m tests.imitation "$@"\n'
    )
    script.chmod(0o700)
    return script


class Running:
    """One imitated server in this event loop: ``url`` while it runs."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.url = ""
        self._listener: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            make_app(self.served),
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Ends it; connections that are open are cut."""
        assert self._server, "it was started"
        assert self._task, "it was started"
        assert self._listener, "it was started"
        self._server.should_exit = self._server.force_exit = True
        await self._task
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]
        self._listener.close()


@contextlib.asynccontextmanager
async def running(served: Served) -> AsyncIterator[str]:
    """The URL of an imitation that runs while the context lasts."""
    server = Running(served)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()
