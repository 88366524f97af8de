"""A value that takes a while: shown as it was last known, and found anew behind the page's back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Kept(Generic[T]):
    """What ``find`` gives; older than ``for_s`` seconds it is found anew, which only the first
    waits for."""

    def __init__(self, find: Callable[[], Awaitable[T]], for_s: float) -> None:
        self._find = find
        self._for_s = for_s
        self._known: tuple[float, T] | None = None
        self._finding: asyncio.Task[T] | None = None

    async def now(self) -> T:
        """The value, as it was last known."""
        known = self._known
        if known is None or time.monotonic() - known[0] > self._for_s:
            if self._finding is None or self._finding.done():
                self._finding = asyncio.create_task(self._look())
            if known is None:
                return await asyncio.shield(self._finding)
        return known[1]

    async def _look(self) -> T:
        try:
            found = await self._find()
        except Exception as error:
            if self._known is None:
                raise
            log.warning("what is shown is older than it should be: %r", error)
            return self._known[1]
        self._known = time.monotonic(), found
        return found
