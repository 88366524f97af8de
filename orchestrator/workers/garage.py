"""The engines of a worker's node on their way up and down, and those that are ill.

An engine that died or did not start is left alone for a while, longer each time; one that did so
too often is given up for as long as the policy remembers it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable

from coterie.errors import EngineError
from coterie.ports import Clock
from orchestrator.engines.restart import RestartPolicy
from orchestrator.scheduling.residency import Residency, Tier

log = logging.getLogger(__name__)


class Garage:
    """Moves engines in the background; ``tell`` hears when one has arrived, or has failed."""

    def __init__(
        self,
        residency: Residency,
        clock: Clock,
        policy: RestartPolicy,
        loaded: Callable[[str, float], None],
        *,
        tell: Callable[[], None],
    ) -> None:
        self._residency = residency
        self._clock = clock
        self._policy = policy
        self._loaded = loaded
        self._tell = tell
        self._moves: dict[str, tuple[asyncio.Task[None], Tier]] = {}
        self._up_since: dict[str, float] = {}
        self._deaths: defaultdict[str, list[float]] = defaultdict(list)
        self._until: dict[str, float] = {}
        self._hopeless: dict[str, EngineError] = {}
        self._fixed: set[str] = set()

    def is_fixed(self, engine: str) -> bool:
        """Whether it has refused to be moved: it is somebody else's."""
        return engine in self._fixed

    def moving(self, engine: str) -> Tier | None:
        """Where the engine is being brought, while it is."""
        return self._moves[engine][1] if engine in self._moves else None

    def awake_s(self, engine: str) -> float:
        """How long ago it was brought up; ``inf`` where that was not here."""
        since_s = self._up_since.get(engine)
        return math.inf if since_s is None else self._clock.monotonic() - since_s

    def move(self, engine: str, tier: Tier) -> None:
        """Begins to bring the engine to ``tier``, unless it is being moved already."""
        if engine not in self._moves:
            task = asyncio.create_task(self._move(engine, tier), name=f"move {engine}")
            self._moves[engine] = task, tier

    def bury(self, engine: str, error: EngineError | None) -> None:
        """The engine has died, of ``error`` unless it was not its fault: stops what is left."""
        if error:
            self._ail(engine, error)
        self.move(engine, Tier.STOPPED)

    def rests(self, engine: str) -> bool:
        """Whether it must not be started now."""
        return self._clock.monotonic() < self._until.get(engine, 0.0)

    def given_up(self, engine: str) -> EngineError | None:
        """What it died of the last time, if that was once too often; None: there is hope."""
        if not self.rests(engine):
            self._hopeless.pop(engine, None)
        return self._hopeless.get(engine)

    async def aclose(self) -> None:
        """Leaves engines that are on their way where they are."""
        tasks = [task for task, _ in self._moves.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _move(self, engine: str, tier: Tier) -> None:
        began_s, before = self._clock.monotonic(), self._residency.tiers().get(engine)
        try:
            await self._residency.move(engine, tier)
            if tier is Tier.AWAKE and before is not Tier.AWAKE:
                self._up_since[engine] = self._clock.monotonic()
                self._loaded(engine, self._up_since[engine] - began_s)
        except EngineError as error:
            self._failed(engine, tier, error)
        finally:
            del self._moves[engine]
            self._tell()

    def _failed(self, engine: str, tier: Tier, error: EngineError) -> None:
        if tier is not Tier.AWAKE and not error.retryable:
            self._fixed.add(engine)
            return
        log.warning("engine %r does not get to %s: %s", engine, tier.name, error)
        if tier is Tier.AWAKE:
            self._ail(engine, error)

    def _ail(self, engine: str, error: EngineError) -> None:
        now_s, deaths = self._clock.monotonic(), self._deaths[engine]
        if self._policy.forgives(self._up_since.pop(engine, None), now_s):
            deaths.clear()
        deaths.append(now_s)
        delay_s = self._policy.delay_s(deaths)
        self._until[engine] = now_s + (self._policy.window_s if delay_s is None else delay_s)
        if delay_s is None:
            self._hopeless[engine] = error
            deaths.clear()
