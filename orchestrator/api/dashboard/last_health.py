"""How experts were when they were last asked: a page waits for no server that hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from coterie.types import Health
from orchestrator.parts import EngineFleet

log = logging.getLogger(__name__)

WAIT_S = 0.03
"""How long a page waits for those who answer at once."""


class LastHealth:
    """Asks the fleet behind the pages' backs, whenever a page wants to know."""

    def __init__(self, fleet: EngineFleet) -> None:
        self._fleet = fleet
        self._known: Mapping[str, Health] = {}
        self._asking: asyncio.Task[None] | None = None

    async def now(self) -> Mapping[str, Health]:
        """What was last heard, by expert; nothing of one that was never asked."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="dashboard-health")
        await asyncio.wait([self._asking], timeout=WAIT_S)
        return self._known

    async def _ask(self) -> None:
        try:
            self._known = await self._fleet.health()
        except Exception as error:
            log.warning("the experts' health is not known: %r", error)
