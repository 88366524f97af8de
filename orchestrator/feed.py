"""The events of a run under way, so that waiting for the next can be given up without the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

from orchestrator.endings import ended
from orchestrator.inquiry import Event, Finished, Outcome

Emit = Callable[[Event], None]


class Feed:
    """Reads what ``run`` emits; the last event is Finished.

    The run is a task of its own from the start, and whoever holds the feed must close it.
    """

    def __init__(self, run: Callable[[Emit], Coroutine[Any, Any, Outcome]]) -> None:
        self._ready: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._over = False
        self._task = asyncio.create_task(self._run(run), name="feed")

    async def next(self, within_s: float | None = None) -> Event | None:
        """The next event; None when none came in time.  Raises what ended the run."""
        if self._ready.empty():
            try:
                async with asyncio.timeout(within_s):
                    found = await self._ready.get()
            except TimeoutError:
                return None
        else:
            found = self._ready.get_nowait()
        self._over = isinstance(found, Finished | Exception)
        if isinstance(found, Exception):
            raise found
        return found

    async def aclose(self) -> None:
        """Ends the run, and returns when all it had under way is over."""
        await ended(self._task)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._over:
            raise StopAsyncIteration
        event = await self.next()
        assert event is not None  # there was no hurry
        return event

    async def _run(self, run: Callable[[Emit], Coroutine[Any, Any, Outcome]]) -> None:
        try:
            self._ready.put_nowait(Finished(await run(self._ready.put_nowait)))
        except Exception as error:
            self._ready.put_nowait(error)
