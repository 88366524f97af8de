"""One unit, from asking its expert until it is settled: stored, or failed for the last time.

A completion is stored before anything else is done with it, however long the database is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from coterie.errors import EngineError, EngineProtocolError, EngineUnavailable
from coterie.ports import Engine
from coterie.types import Completion
from orchestrator.engines.admission import patiently
from orchestrator.failing import failure_of
from orchestrator.scheduling.patience import Patience
from orchestrator.scheduling.work import Unit, Units

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Order:
    """A unit to be settled; ``completion`` is what it got, until that is stored."""

    unit: Unit
    asking: bool = False
    completion: Completion | None = None


class EngineLost(Exception):
    """The engine is gone, and the unit not settled."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(str(error))
        self.error = error


class Settler:
    """Settles the units of one engine.

    ``engine`` gives an expert, or raises EngineUnavailable.  A unit that failed is tried again
    after ``retry_s`` seconds, and twice as many each time, up to ``retry_most_s``.
    """

    def __init__(
        self,
        units: Units,
        engine: Callable[[str], Engine],
        patiently: Patience,
        *,
        retry_s: float,
        retry_most_s: float,
    ) -> None:
        self._units = units
        self._engine = engine
        self._patiently = patiently
        self._retry_s = retry_s
        self._retry_most_s = retry_most_s
        self._looking = asyncio.Lock()
        self._gone = False

    async def settle(self, order: Order) -> None:
        """Returns when the unit is settled.

        Raises:
            EngineLost: its engine died, or was dead already.
        """
        key, pause_s = order.unit.key, self._retry_s
        while error := await self._ask(order):
            # Without the message: it might quote a question that is secret.
            log.info("unit %s failed: %s", key, type(error).__name__)
            final = not error.retryable
            fail = partial(self._units.fail, key, failure_of(error), final=final)
            if await self._patiently(fail) or final:
                return
            await asyncio.sleep(max(pause_s, _wish_s(error)))
            pause_s = min(2 * pause_s, self._retry_most_s)
            if not await self._patiently(lambda: self._units.open([key])):
                return  # somebody else settled it meanwhile

    async def _ask(self, order: Order) -> EngineError | None:
        """None: it was answered, and that is stored."""
        unit, order.asking = order.unit, True
        try:
            engine = self._engine(unit.expert)
            with patiently():  # whoever chats goes first
                completion = order.completion = await engine.complete(unit.question, unit.sampling)
        except EngineError as error:
            if error.retryable and await self._is_gone(unit.expert):
                raise EngineLost(error) from None
            order.asking = False
            return error
        except Exception as error:
            order.asking = False
            return EngineProtocolError(unit.expert, f"internal error: {type(error).__name__}")
        order.asking = False
        return await self._store(order, completion)

    async def _store(self, order: Order, completion: Completion) -> EngineError | None:
        unit = order.unit
        try:
            await self._patiently(lambda: self._units.complete(unit.key, completion))
        except Exception as error:
            log.error("unit %s cannot be stored: %s", unit.key, type(error).__name__)
            told = f"its answer cannot be stored: {type(error).__name__}"
            return EngineProtocolError(unit.expert, told)
        finally:
            order.completion = None
        return None

    async def _is_gone(self, expert: str) -> bool:
        """Whether the engine is gone, not just this answer; looked at once for all who ask."""
        async with self._looking:
            if not self._gone:
                try:
                    self._gone = not (await self._engine(expert).health()).ok
                except EngineError:
                    self._gone = True
            return self._gone


def _wish_s(error: EngineError) -> float:
    wish = error.retry_after_s if isinstance(error, EngineUnavailable) else None
    return wish or 0.0
