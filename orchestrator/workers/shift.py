"""One engine's stretch of work: batches in, stored completions out, the engine kept full.

::

    offer ──batch──> open units ──at most `limit` at a time──> settle ──> acknowledge

More batches are asked for before the last one is done, so that the engine never idles between two.
A batch is acknowledged once all its units are settled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from coterie.errors import EngineError
from orchestrator.endings import ended
from orchestrator.scheduling.patience import Patience
from orchestrator.scheduling.pressure import LoadSignal, Pressure
from orchestrator.scheduling.work import Batch, Claim, Unit, Units, WorkQueue
from orchestrator.workers.settling import EngineLost, Order, Settler

log = logging.getLogger(__name__)

FEWER = 8
"""By how much fewer units are asked together after the engine has died with them."""
LOOK_S = 0.5
"""How old the news may be of which units of a batch are open, when one of them is asked."""


@dataclass(eq=False, slots=True)
class _Lot:
    """A batch at hand: its claims, and how many of its units are not settled.

    It has more than one claim where the queue forgot that it was claimed, and handed it out again.
    ``open`` are the units that nobody had settled at ``looked_s``.
    """

    batch: Batch
    claims: list[Claim]
    left: int = 0
    open: set[str] = field(default_factory=set)
    looked_s: float = 0.0
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(eq=False)
class Shift:
    """Works with one engine until it dies, or is told to end; ``tell`` hears that there is room for
    more, that it has nothing left to do, or that the engine died.

    ``limit`` requests at a time.  ``suspects`` are units the engine has died with, and how many of
    them may be asked together, after all others: fewer with each death, until one is asked alone.
    ``lost`` is the error of an engine that died, and ``blamed`` the unit it died of, where only one
    was being answered.
    """

    queue: WorkQueue
    units: Units
    settler: Settler
    patiently: Patience
    suspects: dict[str, int]
    limit: int
    tell: Callable[[], None] = lambda: None
    done: int = 0
    lost: EngineError | None = None
    blamed: Unit | None = None
    crash: BaseException | None = None
    _todo: deque[tuple[Order, _Lot]] = field(default_factory=deque)
    _apart: deque[tuple[Order, _Lot]] = field(default_factory=deque)
    _doing: dict[asyncio.Task[None], Order] = field(default_factory=dict)
    _opening: dict[asyncio.Task[None], int] = field(default_factory=dict)
    _lots: set[_Lot] = field(default_factory=set)
    _closed: bool = False

    @property
    def at_hand(self) -> int:
        """Units that were offered and are not settled."""
        opening = sum(self._opening.values())
        return opening + len(self._todo) + len(self._apart) + len(self._doing)

    @property
    def in_flight(self) -> int:
        """Units that are being settled."""
        return len(self._doing)

    @property
    def room(self) -> int:
        """For how many more units there is room: half of what the engine takes is kept ready."""
        ready = (self.limit + 1) // 2
        return 0 if self._closed else ready - len(self._todo) - sum(self._opening.values())

    def offer(self, claim: Claim) -> None:
        """Takes a batch; one that is at hand already is not worked on twice."""
        if same := next((lot for lot in self._lots if lot.batch.id == claim.batch.id), None):
            same.claims.append(claim)
            return
        lot = _Lot(claim.batch, [claim])
        self._lots.add(lot)
        task = asyncio.create_task(self._open(lot))
        self._opening[task] = len(claim.batch.keys)
        task.add_done_callback(self._opened)

    def look(self, signal: LoadSignal | None, pressure: Pressure) -> None:
        """Follows the engine's load."""
        had_room = self.room > 0
        self.limit = pressure.next_limit(self.limit, signal, self.in_flight)
        self._go_on(had_room)

    async def end(self, *, grace_s: float, last_s: float) -> None:
        """Begins nothing more; ends what is not done within ``grace_s``, but for what is answered
        already: that may be stored for ``last_s``.  Gives the rest back.
        """
        self._closed = True
        await self._wait_for_all(0.0 if self.lost else grace_s)
        for task, order in list(self._doing.items()):
            if order.completion is None:
                task.cancel()
        await self._wait_for_all(last_s)
        if unstored := sum(order.completion is not None for order in self._doing.values()):
            log.error("%d completion(s) could not be stored and are lost", unstored)
        await ended(*self._doing, *self._opening)
        await self._give_back(last_s)

    # --- batches --------------------------------------------------------------------------------

    async def _open(self, lot: _Lot) -> None:
        units = await self._look_at(lot)
        lot.left = len(units)
        for unit in units:
            (self._apart if unit.key in self.suspects else self._todo).append((Order(unit), lot))
        if not units:
            await self._acknowledge(lot)

    def _opened(self, task: asyncio.Task[None]) -> None:
        del self._opening[task]
        self._note(task)
        self._go_on(had_room=False)

    async def _look_at(self, lot: _Lot) -> Sequence[Unit]:
        units = await self.patiently(lambda: self.units.open(lot.batch.keys))
        lot.open = {unit.key for unit in units}
        lot.looked_s = asyncio.get_running_loop().time()
        return units

    async def _is_open(self, unit: Unit, lot: _Lot) -> bool:
        """Whether nobody has settled it meanwhile.

        Another worker has the same batch where this one was taken for dead, or the queue lost its
        memory: what that one has stored is not to be paid for again.
        """
        async with lot.looking:
            if asyncio.get_running_loop().time() - lot.looked_s >= LOOK_S:
                await self._look_at(lot)
        return unit.key in lot.open

    async def _acknowledge(self, lot: _Lot) -> None:
        while lot.claims:
            await self.patiently(lambda: self.queue.acknowledge(lot.claims[0]))
            del lot.claims[0]
        self._lots.discard(lot)

    async def _give_back(self, last_s: float) -> None:
        """What a queue that is away keeps, it frees by itself once the worker is gone."""
        try:
            async with asyncio.timeout(last_s):
                for lot in list(self._lots):
                    while lot.claims:
                        await self.patiently(partial(self.queue.release, lot.claims[0]))
                        del lot.claims[0]
                    self._lots.discard(lot)
        except TimeoutError:
            log.warning("%d batch(es) could not be given back", len(self._lots))

    # --- units ----------------------------------------------------------------------------------

    def _go_on(self, had_room: bool) -> None:
        """Begins as much as may be begun now."""
        if not (self._closed or self.lost):
            self._begin()
        if (self.room > 0 and not had_room) or not self.at_hand:
            self.tell()

    def _begin(self) -> None:
        asked_apart = self._asks_suspects()
        while self._todo and len(self._doing) < self.limit and not asked_apart:
            self._start(*self._todo.popleft())
        while self._may_begin_suspect(asked_apart):
            self._start(*self._apart.popleft())
            asked_apart = True

    def _asks_suspects(self) -> bool:
        return bool(self.suspects) and any(
            order.unit.key in self.suspects for order in self._doing.values()
        )

    def _may_begin_suspect(self, asked_apart: bool) -> bool:
        """After all others, and among themselves."""
        if not self._apart or (not asked_apart and (self._todo or self._doing)):
            return False
        together = self.suspects.get(self._apart[0][0].unit.key, 1)
        return len(self._doing) < min(self.limit, together)

    def _start(self, order: Order, lot: _Lot) -> None:
        task = asyncio.create_task(self._settle(order, lot))
        self._doing[task] = order
        task.add_done_callback(self._settled)

    async def _settle(self, order: Order, lot: _Lot) -> None:
        if await self._is_open(order.unit, lot):
            await self.settler.settle(order)
        self.suspects.pop(order.unit.key, None)
        self.done += 1
        lot.left -= 1
        if lot.left == 0:
            await self._acknowledge(lot)

    def _settled(self, task: asyncio.Task[None]) -> None:
        had_room = self.room > 0
        order = self._doing.pop(task)
        self._note(task, order)
        self._go_on(had_room)

    def _note(self, task: asyncio.Task[None], order: Order | None = None) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, EngineLost) and order:
            self._lose(error.error, order)
        elif error:
            self.crash = error
            self.tell()

    def _lose(self, error: EngineError, order: Order) -> None:
        if self.lost:
            return
        self.lost = error
        asked = [order, *(other for other in self._doing.values() if other.asking)]
        if len(asked) == 1:
            self.blamed = order.unit
        together = max(1, len(asked) // FEWER)
        self.suspects.update(dict.fromkeys((one.unit.key for one in asked), together))
        self.tell()

    async def _wait_for_all(self, timeout_s: float) -> None:
        if self._doing and timeout_s > 0:
            await asyncio.wait(list(self._doing), timeout=timeout_s)
