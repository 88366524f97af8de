"""A gateway in a thread of its own, for tests that send from outside of any event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flows.gateway import answers, gateway, servers


class Served:
    """A gateway in a thread of its own, since cases are sent from outside of any event loop."""

    def __init__(self, home: Path, database_url: str) -> None:
        self._home, self._database_url = home, database_url
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._error: BaseException | None = None
        self.url = ""
        self.headers: dict[str, str] = {}
        self.description: dict[str, Any] = {}

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(60)
        if self._error:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)

    def _go(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._error = error
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        environ = {
            "COTERIE_ENGINE_SLOTS": "0",  # whatever is registered, no engine is started
            "COTERIE_EXPERT_NETWORKS": "127.0.0.1/32",
        }
        async with servers(answers, answers) as upstreams:
            experts = [{"name": n, "endpoint": u.url} for n, u in zip("ab", upstreams, strict=True)]
            made = gateway(self._home, experts, database_url=self._database_url, **environ)
            async with made as found:
                self.url = str(found.http.base_url).rstrip("/")
                self.headers = found.admin
                self.description = (await found.http.get("/openapi.json")).json()
                self._ready.set()
                await self._over.wait()


@contextmanager
def served_from(file: Path, home: Path) -> Iterator[Served]:
    """A gateway over two experts that answer, on a copy of the database in ``file``."""
    copy = home / "coterie.sqlite"
    copy.write_bytes(file.read_bytes())
    with Served(home, f"sqlite:///{copy}") as found:
        yield found
