"""Reads the events of a run, so that waiting for the next can be given up without the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from orchestrator.endings import ended
from orchestrator.inquiry import Event


class Feed:
    """The events of one run, read by a task that it owns; closing it ends the run."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self._ready: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read(events), name="feed")

    async def next(self, within_s: float) -> Event | None:
        """The next event; None when none came in time.  Raises what ended the run."""
        if self._ready.empty():
            try:
                async with asyncio.timeout(within_s):
                    found = await self._ready.get()
            except TimeoutError:
                return None
        else:
            found = self._ready.get_nowait()
        if isinstance(found, Exception):
            raise found
        return found

    async def aclose(self) -> None:
        """Ends the run, and returns when all it had under way is over."""
        await ended(self._reader)

    async def _read(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._ready.put_nowait(event)
        except Exception as error:
            self._ready.put_nowait(error)
