"""Erases requests: their why-records, what was said of them, and what that graded.

Sums over time stay: they tell of nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.feedback import FeedbackService
from orchestrator.traces.store import PIECE, TraceStore
from orchestrator.traces.writer import TraceWriter


@dataclass(frozen=True, slots=True)
class Erasure:
    """Erases in pieces: nobody waits longer for the database than one takes."""

    traces: TraceWriter
    store: TraceStore
    feedback: FeedbackService

    async def request(self, id: str) -> bool:
        """Erases one request; whether there was one."""
        await self.feedback.take_back([id])
        return await self.traces.remove([id]) > 0

    async def of_key(self, key: str) -> int:
        """Erases every request of the API key of id ``key``; returns how many."""
        erased = await self.traces.remove(self.traces.waiting_of(key))
        while ids := await self.store.of_key(key, PIECE):
            await self.feedback.take_back(ids)
            erased += await self.traces.remove(ids)
        return erased
