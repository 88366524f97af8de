"""The residency of engines that are kept up by somebody else: nothing to move, only to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from coterie.errors import EngineError, EngineTimeout, EngineUnavailable
from coterie.ports import Engine
from coterie.types import Expert
from orchestrator.scheduling.residency import Tier


class Engines(Protocol):
    """Gives the engine of an expert; raises EngineUnavailable while it cannot be asked."""

    def engine(self, name: str) -> Engine: ...


class AllAwake:
    """An engine is AWAKE when it can be asked, and STOPPED while it starts or is down.

    ``experts`` gives the registered ones as they are now; ``start_timeout_s`` is how long one may
    take to come up, ``look_s`` the pause between two looks at it.
    """

    def __init__(
        self,
        engines: Engines,
        experts: Callable[[], Sequence[Expert]],
        *,
        start_timeout_s: float = 600.0,
        look_s: float = 0.25,
    ) -> None:
        self._engines = engines
        self._experts = experts
        self._start_timeout_s = start_timeout_s
        self._look_s = look_s

    def tiers(self) -> Mapping[str, Tier]:
        """Where each engine is now: up, if any of the experts it serves can be asked."""
        found: dict[str, Tier] = {}
        for expert in self._experts():
            if expert.enabled:
                up = Tier.AWAKE if self._is_up(expert.name) else Tier.STOPPED
                host = expert.host
                found[host] = max(found.get(host, Tier.STOPPED), up)
        return found

    def host(self, expert: str) -> str:
        """The engine that serves ``expert``; raises EngineUnavailable for one not registered."""
        for known in self._experts():
            if known.name == expert:
                return known.host
        raise EngineUnavailable(
            expert, f"expert {expert!r} is not registered (any more): `coterie experts list`"
        )

    async def move(self, engine: str, tier: Tier) -> None:
        """Waits until the engine is up; raises an EngineError for any other tier."""
        if tier is not Tier.AWAKE:
            raise EngineError(engine, "this process keeps all its engines up: it cannot be moved")
        try:
            async with asyncio.timeout(self._start_timeout_s):
                await self._up(engine)
        except TimeoutError:
            raise EngineTimeout(
                engine, f"it is not up after {self._start_timeout_s:g} s: `coterie status` says why"
            ) from None

    def engine(self, expert: str) -> Engine:
        """The expert, to be asked; raises EngineUnavailable unless its engine is awake."""
        return self._engines.engine(expert)

    async def _up(self, engine: str) -> None:
        while True:  # whoever starts it tells nobody
            if self.tiers().get(engine) is Tier.AWAKE:
                return
            await asyncio.sleep(self._look_s)

    def _is_up(self, expert: str) -> bool:
        try:
            self._engines.engine(expert)
        except EngineError:
            return False
        return True
