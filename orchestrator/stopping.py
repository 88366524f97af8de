"""The end of a service that is told to stop: nothing new is begun, what runs may finish in time.

serving ── begin ──> stopping: no new runs ── all over, or the deadline: end ──> runs fail
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coterie.errors import ServiceStopping

AGAIN_S = 2.0
"""When a caller is told to come again: another server, or this one's successor, answers then."""


class Stopping:
    """Counts what runs.  Not for threads."""

    def __init__(self) -> None:
        self._begun = False
        self._running: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def begun(self) -> bool:
        """Whether the service was told to stop."""
        return self._begun

    @property
    def running(self) -> int:
        """How many runs are not over."""
        return len(self._running)

    def begin(self) -> None:
        """From now on nothing new is begun."""
        self._begun = True

    async def finished(self, within_s: float) -> bool:
        """Whether all runs are over within so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def end(self) -> None:
        """Ends what still runs: each fails with :class:`ServiceStopping`."""
        self._begun = True
        now_s = asyncio.get_running_loop().time()
        for run in self._running:
            run.reschedule(now_s)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """One run.

        Raises:
            ServiceStopping: the service stops, or has to stop before the run was over.
        """
        if self._begun:
            raise _told("takes nothing new")
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._running.add(limit)
                self._idle.clear()
                try:
                    yield
                finally:
                    self._running.discard(limit)
                    if not self._running:
                        self._idle.set()
        except TimeoutError:
            if not limit.expired():
                raise
            raise _told("could not finish this in time") from None


def _told(what: str) -> ServiceStopping:
    return ServiceStopping(f"the server is stopping and {what}: ask again", retry_after_s=AGAIN_S)
