"""Waits an outage out: what may be done twice is done until it succeeds."""

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
    """Pauses grow from ``first_s`` to ``most_s`` seconds; an outage is told once, and its end."""

    first_s: float = 0.1
    most_s: float = 5.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _away: set[type[Exception]] = field(default_factory=set)

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` returns, once neither queue nor database is away."""
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
        if type(error) not in self._away:
            self._away.add(type(error))
            log.warning("waiting: %s", error)

    def _over(self) -> None:
        if self._away:
            self._away.clear()
            log.warning("what was away is back")
