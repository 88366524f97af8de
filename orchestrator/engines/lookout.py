"""Looks at experts' servers now and then, beside the requests: how loaded they are, and whether
one that failed is back.

Only where something hangs on it: servers that share an expert's calls, and those whose breaker is
open.  A server that is asked alone, and answers, is never looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from coterie.errors import EngineError
from orchestrator.engines.balanced import BalancedEngine
from orchestrator.engines.breaker import Circuit
from orchestrator.engines.replica import Replica
from orchestrator.engines.signals import LoadSignal, read_load

log = logging.getLogger(__name__)

_AT_ONCE: Final = 16
_WITHOUT: Final = 30
"""Looks at a server without metrics, between two at whether it has some by now."""


class Lookout:
    """Looks every ``every_s`` seconds, at a few servers at once and for two seconds each."""

    def __init__(
        self,
        engines: Callable[[], Iterable[BalancedEngine]],
        *,
        every_s: float = 2.0,
    ) -> None:
        self._engines = engines
        self._every_s = every_s
        self._without: WeakKeyDictionary[Replica, int] = WeakKeyDictionary()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks from now on."""
        self._task = asyncio.create_task(self._run(), name="lookout")

    async def aclose(self) -> None:
        """Looks no more."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """One look at all that matter."""
        narrow = asyncio.Semaphore(_AT_ONCE)

        async def looked(replica: Replica) -> None:
            async with narrow:
                await self._look_at(replica)

        await asyncio.gather(*(looked(replica) for replica in self._that_matter()))

    def _that_matter(self) -> list[Replica]:
        return [
            replica
            for engine in self._engines()
            for replica in engine.replicas
            if engine.replicas[1:] or replica.circuit is Circuit.OPEN
        ]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except Exception:
                log.exception("the look at experts' servers failed; there will be another")

    async def _look_at(self, replica: Replica) -> None:
        signal = await self._load(replica)
        if signal:
            replica.looked_at(True, signal)
            return
        replica.looked_at((await replica.engine.health()).ok)

    async def _load(self, replica: Replica) -> LoadSignal | None:
        """What the server says of its load; None where it says nothing, perhaps not even hello."""
        left = self._without.get(replica, 0)
        if left:
            self._without[replica] = left - 1
            return None
        try:
            return read_load(await replica.engine.metrics())
        except (EngineError, TimeoutError):
            return None
        except ValueError:
            self._without[replica] = _WITHOUT
            return None
