"""Forgets old why-records, a piece at a time, whether or not new ones come."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from coterie.db import utcnow
from orchestrator.traces.store import MOST_AT_ONCE, TraceStore
from orchestrator.traces.traffic_store import TrafficStore

log = logging.getLogger(__name__)

EVERY_S = 60.0
MINUTES_ARE_KEPT = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Retention:
    """The newest ``keep`` records stay, for ``days`` where that is set."""

    store: TraceStore
    traffic: TrafficStore
    keep: int
    days: float | None = None

    async def run(self) -> None:
        """Tidies up for ever; while the database is away, it waits."""
        while True:
            try:
                await self.tidy()
            except Exception as error:
                log.warning("old why-records are not forgotten yet: %r", error)
            await asyncio.sleep(EVERY_S)

    async def tidy(self) -> int:
        """Forgets all that is too old; returns how many records that were."""
        now = utcnow()
        before = now - timedelta(days=self.days) if self.days is not None else None
        gone = 0
        while True:
            removed = await self.store.prune(self.keep, before)
            gone += removed
            if removed < MOST_AT_ONCE:
                break
        await self.traffic.forget_minutes(now - MINUTES_ARE_KEPT)
        return gone
