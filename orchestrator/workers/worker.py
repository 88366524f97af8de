"""A worker: serves experts from the queue with the engines of its node.

::

    look at queue and engines ──> one step after the other, as the planner says ──> wait for news
          ^                       Run: claim a batch, hand it to the engine's shift       │
          │                       Move: bring an engine up, or down                       │
          └───────────────────────────────────────────────────────────────────────────────┘

Nothing here decides what is asked: units come from the store.  Whatever goes away comes back
sooner or later: queue and database are waited for, engines are started again, with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from coterie.errors import EngineError, EngineUnavailable, QueueUnavailable
from coterie.ports import Clock
from orchestrator.endings import ended
from orchestrator.engines.restart import RestartPolicy
from orchestrator.failing import failure_of
from orchestrator.scheduling.foresight import upcoming
from orchestrator.scheduling.lobby import Lobby
from orchestrator.scheduling.patience import Patience
from orchestrator.scheduling.pressure import LoadSignal, Pressure
from orchestrator.scheduling.residency import Residency, Tier
from orchestrator.scheduling.stay import EngineView, Planner, StayThenDeepest, View
from orchestrator.scheduling.steps import Move, Run, Wait
from orchestrator.scheduling.told import EngineTold, MachineTold, MoveTold, WorkerTold
from orchestrator.scheduling.work import Depth, Units, WorkerState, WorkQueue
from orchestrator.workers.garage import Garage
from orchestrator.workers.settling import Settler
from orchestrator.workers.shift import Shift

log = logging.getLogger(__name__)

MACHINE_S = 10.0
"""Between two looks at the machine's memory."""
MOST_STEPS = 1000
"""Steps in a row without waiting: a planner that wants more goes round in circles."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """In seconds: ``beat_s`` between two heartbeats, a third of the queue's TTL or less;
    ``poll_s`` at most between two looks at the queue, ``signal_s`` between two at an engine's load;
    ``retry_s`` and ``retry_most_s`` are the pauses before a failed unit is tried again.

    A worker that is told to end goes on for ``grace_s`` with what it has begun, and then stores
    what was answered for ``last_s`` at most.
    """

    beat_s: float = 10.0
    poll_s: float = 1.0
    signal_s: float = 1.0
    retry_s: float = 1.0
    retry_most_s: float = 30.0
    grace_s: float = 30.0
    last_s: float = 5.0
    pressure: Pressure = field(default_factory=Pressure)
    restart: RestartPolicy = field(default_factory=RestartPolicy)


async def no_machine() -> MachineTold:
    """A machine that nobody looks at."""
    return MachineTold()


async def no_signal(engine: str) -> LoadSignal | None:
    """The load of an engine that tells nothing."""
    return None


@dataclass(frozen=True, slots=True)
class Node:
    """What a worker works with: ``experts`` lists whom its engines can serve.

    ``signal`` gives an engine's load, None where it does not tell; ``loaded`` hears which engine
    was brought up and how many seconds that took.  In the ``lobby`` wait requests that do not come
    from the queue.  ``slots`` is how many engines may be up at a time, None: all; ``machine`` tells
    how the machine is, for those who look on.
    """

    residency: Residency
    experts: Callable[[], Sequence[str]]
    signal: Callable[[str], Awaitable[LoadSignal | None]] = no_signal
    loaded: Callable[[str, float], None] = lambda engine, seconds: None
    lobby: Lobby = field(default_factory=Lobby)
    slots: int | None = None
    machine: Callable[[], Awaitable[MachineTold]] = no_machine


class Worker:
    """One life of a worker; ``name`` is no other life's."""

    def __init__(
        self,
        name: str,
        node: Node,
        queue: WorkQueue,
        units: Units,
        *,
        clock: Clock,
        planner: Planner | None = None,
        settings: WorkerSettings | None = None,
    ) -> None:
        self.name = name
        self._node = node
        self._queue = queue
        self._units = units
        self._planner = planner or StayThenDeepest()
        self._settings = settings or WorkerSettings()
        self._patiently = Patience()
        self._news = asyncio.Event()
        self._stop = asyncio.Event()
        self._garage = Garage(
            node.residency, clock, self._settings.restart, node.loaded, tell=self._news.set
        )
        self._shifts: dict[str, Shift] = {}
        self._suspects: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._leases: set[str] = set()
        self._hearing: asyncio.Task[None] | None = None
        self._clock = clock
        self._since_s: dict[str, float] = {}
        self._used_s: dict[str, float] = {}
        self._since = datetime.fromtimestamp(clock.time(), UTC).isoformat(timespec="seconds")
        self._machine = MachineTold()
        self._seen: View | None = None
        node.lobby.notice = self._news.set

    def drain(self) -> None:
        """Makes :meth:`run` return: it claims nothing more, finishes what it has begun within the
        grace, and gives the rest back."""
        self._stop.set()

    async def run(self) -> None:
        """Works until it is drained.  Cancelled, it stores what it has and gives the rest back."""
        helping = [
            asyncio.create_task(self._for_ever(self._beat, self._settings.beat_s)),
            asyncio.create_task(self._for_ever(self._look_at_loads, self._settings.signal_s)),
            asyncio.create_task(self._for_ever(self._look_at_machine, MACHINE_S)),
        ]
        working = asyncio.create_task(self._work(), name=f"work {self.name}")
        grace_s = 0.0
        try:
            await self._until_stopped(working)
            grace_s = self._settings.grace_s
        finally:
            await ended(working)
            await self._end(grace_s)
            await ended(*helping, *([self._hearing] if self._hearing else []))
            await self._leave()

    async def _until_stopped(self, working: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(stopping)
        if working.done():
            await working  # never by itself, but for an error

    async def _end(self, grace_s: float) -> None:
        """Ends all shifts, and what is being moved."""
        telling, last_s = asyncio.create_task(self._beat()), self._settings.last_s
        ends = [shift.end(grace_s=grace_s, last_s=last_s) for shift in self._shifts.values()]
        await asyncio.gather(*ends, return_exceptions=True)
        await ended(telling)
        await self._garage.aclose()

    async def _leave(self) -> None:
        with suppress(QueueUnavailable, TimeoutError):  # it learns by itself, a little later
            async with asyncio.timeout(self._settings.last_s):
                await self._queue.leave(self.name)

    # --- being alive ----------------------------------------------------------------------------

    async def _for_ever(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # a worker that no longer beats would be taken for dead
                log.error("worker %s: %s: %s", self.name, type(error).__name__, error)
            await asyncio.sleep(every_s)

    async def _beat(self) -> None:
        with suppress(QueueUnavailable):  # whoever waits for the queue tells
            await self._queue.beat(self._state())

    def _state(self) -> WorkerState:
        hosts, tiers = self._hosts(self._garage.given_up), self._node.residency.tiers()
        return WorkerState(
            name=self.name,
            experts=tuple(hosts),
            resident=tuple(e for e, engine in hosts.items() if tiers.get(engine) is Tier.AWAKE),
            busy=tuple(e for e, engine in hosts.items() if self._at_hand(engine)),
            draining=self._stop.is_set(),
            told=self._told(hosts),
        )

    def _told(self, hosts: Mapping[str, str]) -> WorkerTold:
        serves: dict[str, list[str]] = {}
        for expert, engine in hosts.items():
            serves.setdefault(engine, []).append(expert)
        engines = (
            EngineTold(
                name,
                e.tier.name.lower(),
                e.moving.name.lower() if e.moving is not None else None,
                e.at_hand,
                e.fixed,
                tuple(serves.get(name, ())),
            )
            for name, e in sorted(self._engines(hosts).items())
            if e.tier is not Tier.STOPPED or e.moving is not None
        )
        plan = (MoveTold(move.engine, move.tier.name.lower()) for move in self._foreseen())
        return WorkerTold(self._since, self._node.slots, self._machine, tuple(engines), tuple(plan))

    def _foreseen(self) -> Sequence[Move]:
        """What would be moved next; nothing where there is room for all."""
        limited = self._node.slots is not None and self._seen is not None
        return upcoming(self._planner, self._seen) if limited and self._seen else ()

    async def _look_at_machine(self) -> None:
        self._machine = await self._node.machine()

    async def _look_at_loads(self) -> None:
        for engine, shift in list(self._shifts.items()):
            try:
                signal = await self._node.signal(engine)
            except EngineError:  # whoever asks it finds out what is the matter
                continue
            shift.look(signal, self._settings.pressure)

    # --- step by step ---------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._news.clear()
            await self._clear_up()
            wait = await self._patiently(self._go)
            await self._give_leases()
            if not await self._patiently(self._fail_hopeless):
                await self._wait(wait.for_s)

    async def _go(self) -> Wait:
        """Goes on step by step, until there is nothing to do but wait."""
        view = await self._view()
        for _ in range(MOST_STEPS):
            step = self._planner.next_step(view)
            self._seen = view
            if isinstance(step, Wait):
                return step
            view = await self._do(step, view)
        log.error("worker %s: the planner goes round in circles", self.name)
        return Wait(self._settings.poll_s)

    async def _do(self, step: Run | Move, view: View) -> View:
        """The view after the step; one that proves impossible is not seen as possible again."""
        if isinstance(step, Move):
            if step.tier is Tier.AWAKE and not await self._may_load(step.engine, view):
                return replace(view, holders=await self._queue.holders())
            self._garage.move(step.engine, step.tier)
            return replace(view, engines=self._engines(view.hosts))
        if self._node.lobby.admit(step.expert, online=step.online) or step.online:
            engines = self._engines(view.hosts)
            return replace(view, engines=engines, parties=self._node.lobby.parties())
        if await self._run(step.engine, step.expert):
            return _claimed(view, step.expert, self._engines(view.hosts))
        return _without(view, step.expert)

    async def _may_load(self, engine: str, view: View) -> bool:
        """Whether nobody else was faster to take all experts that are wanted of the engine.

        To load what was seen to be others' is the planner's wish.
        """
        free = [
            expert
            for expert, host in view.hosts.items()
            if host == engine and expert in view.depths and not view.is_taken(expert)
        ]
        taken = [await self._take(expert) for expert in free]
        return any(taken) or not free

    async def _take(self, expert: str) -> bool:
        if taken := await self._queue.take_expert(self.name, expert):
            self._leases.add(expert)
        return taken

    async def _run(self, engine: str, expert: str) -> bool:
        """Claims one batch for the engine; False if others were faster."""
        await self._take(expert)
        claim = await self._queue.claim(self.name, expert)
        if claim is None:
            return False
        if engine not in self._shifts:
            self._shifts[engine] = self._new_shift(engine)
        self._shifts[engine].offer(claim)
        return True

    def _new_shift(self, engine: str) -> Shift:
        settings = self._settings
        return Shift(
            queue=self._queue,
            units=self._units,
            settler=Settler(
                self._units,
                self._node.residency.engine,
                self._patiently,
                retry_s=settings.retry_s,
                retry_most_s=settings.retry_most_s,
            ),
            patiently=self._patiently,
            suspects=self._suspects,
            limit=self._limits.get(engine, settings.pressure.start),
            tell=self._news.set,
        )

    async def _wait(self, for_s: float | None) -> None:
        """Returns when a shift or an engine has news, something was published, or time is up."""
        if self._hearing is None or self._hearing.done():
            hear = partial(self._queue.wait, self._settings.poll_s)
            self._hearing = asyncio.create_task(self._patiently(hear))
        # It hears on where something else ends the wait: to cut it off costs a connection.
        telling = asyncio.create_task(self._news.wait())
        try:
            either = {self._hearing, telling}
            await asyncio.wait(either, timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(telling)

    # --- what there is to see -------------------------------------------------------------------

    async def _view(self) -> View:
        hosts = self._hosts(self._garage.rests)
        depths, holders = await self._queue.depths(), await self._queue.holders()
        waited_s, parties = self._waited_s(depths), self._node.lobby.parties()
        return View(self.name, hosts, self._engines(hosts), depths, holders, waited_s, parties)

    def _waited_s(self, depths: Mapping[str, Depth]) -> Mapping[str, float]:
        now_s = self._clock.monotonic()
        waiting = (expert for expert, depth in depths.items() if depth.waiting)
        self._since_s = {expert: self._since_s.get(expert, now_s) for expert in waiting}
        return {expert: now_s - since_s for expert, since_s in self._since_s.items()}

    def _engines(self, hosts: Mapping[str, str]) -> Mapping[str, EngineView]:
        tiers, seated = self._node.residency.tiers(), self._seated(hosts)
        names = {*tiers, *hosts.values()}
        return {name: self._engine(name, tiers, seated[name]) for name in names}

    def _seated(self, hosts: Mapping[str, str]) -> Counter[str]:
        """Requests from the lobby that each engine answers now."""
        found = Counter[str]()
        for expert, engine in hosts.items():
            found[engine] += self._node.lobby.inside(expert)
        return found

    def _engine(self, name: str, tiers: Mapping[str, Tier], seated: int) -> EngineView:
        shift = self._shifts.get(name)
        limit = self._limits.get(name, self._settings.pressure.start)
        at_hand = seated + (shift.at_hand if shift else 0)
        return EngineView(
            tier=tiers.get(name, Tier.STOPPED),
            moving=self._garage.moving(name),
            at_hand=at_hand,
            room=shift.room if shift else (limit + 1) // 2,
            fixed=self._garage.is_fixed(name),
            awake_s=self._garage.awake_s(name),
            idle_s=self._idle_s(name, at_hand),
        )

    def _idle_s(self, engine: str, at_hand: int) -> float:
        now_s = self._clock.monotonic()
        if at_hand:
            self._used_s[engine] = now_s
        return now_s - self._used_s.setdefault(engine, now_s)

    def _hosts(self, without: Callable[[str], object]) -> Mapping[str, str]:
        """The engines of the experts that can be served, but for those ``without`` names."""
        found = {}
        for expert in self._node.experts():
            with suppress(EngineError):  # it is not on this node, or not any more
                host = self._node.residency.host(expert)
                if not without(host):
                    found[expert] = host
        return found

    def _at_hand(self, engine: str) -> int:
        return self._shifts[engine].at_hand if engine in self._shifts else 0

    # --- what is over ---------------------------------------------------------------------------

    async def _clear_up(self) -> None:
        """Buries engines that died, and gives up the experts there is nothing left to do for."""
        for engine, shift in list(self._shifts.items()):
            self._limits[engine] = shift.limit
            if shift.crash:
                raise shift.crash
            if shift.lost:
                del self._shifts[engine]
                await self._bury(engine, shift, shift.lost)
            elif not shift.at_hand:
                del self._shifts[engine]
                await shift.end(grace_s=0.0, last_s=self._settings.last_s)

    async def _give_leases(self) -> None:
        """Of experts whose engine neither works nor comes up: there is nothing for it to do."""
        engines = self._hosts(lambda engine: False)
        keep = {e for e in self._leases & engines.keys() if self._needs(engines[e])}
        for expert in self._leases - keep:
            with suppress(QueueUnavailable):  # it is free when this worker is gone
                await self._queue.give_expert(self.name, expert)
                self._leases.discard(expert)

    def _needs(self, engine: str) -> bool:
        return bool(self._at_hand(engine)) or self._garage.moving(engine) is Tier.AWAKE

    async def _bury(self, engine: str, shift: Shift, error: EngineError) -> None:
        """Ends what is left of an engine that died; it starts anew when it is wanted again."""
        # Without the message: a server may quote a question that is secret.
        log.warning("worker %s: engine %r died: %s", self.name, engine, type(error).__name__)
        await shift.end(grace_s=0.0, last_s=self._settings.last_s)
        if unit := shift.blamed:
            told = f"its engine died while it answered this and nothing else: {error}"
            failure = failure_of(EngineUnavailable(unit.expert, told))
            await self._patiently(lambda: self._units.fail(unit.key, failure))
        self._garage.bury(engine, None if shift.blamed else error)

    async def _fail_hopeless(self) -> bool:
        """Fails a batch of an expert whose engine is given up, if nobody else could serve it."""
        hopeless = self._hosts(lambda engine: not self._garage.given_up(engine))
        self._turn_away(hopeless)
        if not hopeless:
            return False
        depths, others = await self._queue.depths(), await self._queue.workers()
        able = {e for o in others if o.name != self.name and not o.draining for e in o.experts}
        for expert, engine in hopeless.items():
            if depths.get(expert, Depth()).waiting and expert not in able:
                return await self._fail_batch(expert, self._garage.given_up(engine))
        return False

    def _turn_away(self, hopeless: Mapping[str, str]) -> None:
        """Closes the lobby for experts whose engine is given up: this node's, and nobody else's."""
        lobby = self._node.lobby
        why = {e: error for e, host in hopeless.items() if (error := self._garage.given_up(host))}
        lobby.closed = why
        for expert, error in why.items():
            lobby.refuse(expert, error)

    async def _fail_batch(self, expert: str, error: EngineError | None) -> bool:
        claim = await self._queue.claim(self.name, expert)
        if claim is None:
            return False
        told = f"its engine does not start, and is given up for now: {error}"
        failure = failure_of(EngineUnavailable(expert, told))
        for unit in await self._patiently(lambda: self._units.open(claim.batch.keys)):
            await self._patiently(partial(self._units.fail, unit.key, failure, final=True))
        await self._patiently(lambda: self._queue.acknowledge(claim))
        return True


def _claimed(view: View, expert: str, engines: Mapping[str, EngineView]) -> View:
    """The view after a batch of ``expert`` was claimed."""
    before = view.depths.get(expert, Depth())
    after = Depth(max(0, before.waiting - 1), before.claimed + 1)
    holders = {**view.holders, expert: view.holders.get(expert, view.worker)}
    return replace(view, depths={**view.depths, expert: after}, holders=holders, engines=engines)


def _without(view: View, expert: str) -> View:
    return replace(view, hosts={e: host for e, host in view.hosts.items() if e != expert})
