"""Does the work in this process, as simply as can be: one expert after the other.

Stands in for a worker until there is one; it loads nothing and plans nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from coterie.errors import EngineError, EngineUnavailable
from coterie.ports import Engine
from orchestrator.jobs.patience import Patience
from orchestrator.scheduling.work import Batch, Depth, Unit, Units

START_S = 0.5
"""How long to wait between two looks at engines that are starting."""


class StandIn:
    """A queue, and whoever works it off: ``width`` units at a time, of one expert."""

    def __init__(
        self,
        units: Units,
        engine: Callable[[str], Engine],
        *,
        width: int = 32,
        patience: Patience | None = None,
    ) -> None:
        self._units, self._engine, self._width = units, engine, width
        self._patiently = patience or Patience()
        self._waiting: defaultdict[str, dict[str, Batch]] = defaultdict(dict)
        self._claimed: dict[str, str] = {}
        self._bell = asyncio.Event()

    async def publish(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            if batch.id not in self._claimed:
                self._waiting[batch.expert].setdefault(batch.id, batch)
        self._bell.set()

    async def depths(self) -> Mapping[str, Depth]:
        claimed = list(self._claimed.values())
        experts = {*self._waiting, *claimed}
        return {e: Depth(len(self._waiting.get(e, {})), claimed.count(e)) for e in experts}

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            while waiting := [e for e, batches in self._waiting.items() if batches]:
                ready = next(filter(self._is_up, waiting), None)
                if ready is None:
                    await asyncio.sleep(START_S)
                else:
                    await self._drain(ready)

    def _is_up(self, expert: str) -> bool:
        """Whether it can be asked: one that is starting has failed nobody."""
        try:
            self._engine(expert)
        except EngineUnavailable:
            return False
        return True

    async def _drain(self, expert: str) -> None:
        while waiting := self._waiting[expert]:
            batch = waiting.pop(next(iter(waiting)))
            self._claimed[batch.id] = expert
            try:
                units = await self._patiently(partial(self._units.open, batch.keys))
                gate = asyncio.Semaphore(self._width)
                await asyncio.gather(*(self._ask(unit, gate) for unit in units))
            finally:
                del self._claimed[batch.id]
        del self._waiting[expert]

    async def _ask(self, unit: Unit, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                completion = await self._engine(unit.expert).complete(unit.question, unit.sampling)
            except EngineError as error:
                told = str(error)
                await self._patiently(lambda: self._units.fail(unit.key, told))
                return
            await self._patiently(lambda: self._units.complete(unit.key, completion))
