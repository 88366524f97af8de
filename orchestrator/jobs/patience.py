"""Waits an outage out: the database or the queue comes back, and the work goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from coterie.errors import QueueUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class Patience:
    """Does what may be done twice until it succeeds; an outage is logged once, and its end.

    Pauses grow from ``first_s`` to ``most_s`` seconds.
    """

    first_s: float = 0.1
    most_s: float = 5.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _told: set[type[Exception]] = field(default_factory=set)

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        pause_s = self.first_s
        while True:
            try:
                found = await work()
            except (StoreUnavailable, QueueUnavailable) as error:
                self._tell(error)
            else:
                self._over()
                return found
            await self.sleep(pause_s)
            pause_s = min(2 * pause_s, self.most_s)

    def _tell(self, error: Exception) -> None:
        if type(error) not in self._told:
            log.warning("a job waits: %s", error)
            self._told.add(type(error))

    def _over(self) -> None:
        if self._told:
            log.warning("a job goes on: what was away is back")
            self._told.clear()
