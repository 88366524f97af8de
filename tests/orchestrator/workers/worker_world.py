"""A node of make-believe: engines that answer by rule, and a store that keeps what it is given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from coterie.errors import EngineError, EngineUnavailable, QueueUnavailable, StoreUnavailable
from coterie.types import Chunk, Completion, Failure, Health, Question, Sampling, Usage
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.stay import Planner
from orchestrator.scheduling.work import Batch, Unit, WorkQueue
from orchestrator.workers.worker import Node, Worker, WorkerSettings
from tests.orchestrator.workers.virtual_time import LoopClock


class Store:
    """Units in memory; ``paid`` counts the answers that engines gave, by key."""

    def __init__(self, units: Sequence[Unit], tries: int = 3) -> None:
        self.units = {unit.key: unit for unit in units}
        self.kept: dict[str, Completion] = {}
        self.parked: dict[str, str] = {}
        self.tries: Counter[str] = Counter()
        self.away = False
        self._max = tries

    @property
    def settled(self) -> bool:
        return not self._open(list(self.units))

    async def open(self, keys: Sequence[str]) -> Sequence[Unit]:
        await self._reach()
        return self._open(keys)

    async def complete(self, key: str, completion: Completion) -> None:
        await self._reach()
        self.kept.setdefault(key, completion)

    async def fail(self, key: str, failure: Failure, *, final: bool = False) -> bool:
        await self._reach()
        self.tries[key] += 1
        if final or self.tries[key] >= self._max:
            self.parked[key] = failure.error
        return key in self.parked

    def _open(self, keys: Sequence[str]) -> list[Unit]:
        return [self.units[k] for k in keys if k not in self.kept and k not in self.parked]

    async def _reach(self) -> None:
        await asyncio.sleep(0.001)
        if self.away:
            raise StoreUnavailable("the database is away")


@dataclass
class Machines:
    """The engines of one node.  ``rule`` may raise what goes wrong with a text, halfway through it.

    A machine whose ``rule`` raises :class:`Death` is gone, with all it was answering.
    """

    hosts: Mapping[str, str]
    rule: Callable[[str], None] = lambda text: None
    load_s: float = 30.0
    answer_s: float = 2.0
    broken: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)
    up: dict[str, Tier] = field(default_factory=dict)
    loads: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    stopped_busy: list[str] = field(default_factory=list)
    began_s: list[float] = field(default_factory=list)
    ended: dict[str, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.up |= dict.fromkeys(self.fixed, Tier.AWAKE)
        self.ended |= {name: asyncio.Event() for name in self.fixed}

    def tiers(self) -> Mapping[str, Tier]:
        return dict(self.up)

    def host(self, expert: str) -> str:
        if expert not in self.hosts:
            raise EngineUnavailable(expert, "it is not on this node")
        return self.hosts[expert]

    async def move(self, engine: str, tier: Tier) -> None:
        if engine in self.fixed:
            raise EngineError(engine, "it is not ours")
        if self.running[engine]:
            self.stopped_busy.append(engine)
        await asyncio.sleep(self.load_s if tier is Tier.AWAKE else 1.0)
        if tier is Tier.AWAKE:
            self.loads[engine] += 1
            if engine in self.broken:
                raise EngineUnavailable(engine, "out of memory")
            self.ended[engine] = asyncio.Event()
        self.up[engine] = tier

    def engine(self, expert: str) -> Machine:
        host = self.host(expert)
        if self.up.get(host) is not Tier.AWAKE:
            raise EngineUnavailable(expert, "its engine is not awake")
        return Machine(self, expert, host)


class Death(Exception):
    """The machine dies of this."""


@dataclass(frozen=True)
class Machine:
    """One expert: its answers are its name and the question's text."""

    machines: Machines
    expert: str
    host: str

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        m, text = self.machines, question.text
        m.running[self.host] += 1
        m.most[self.host] = max(m.most[self.host], m.running[self.host])
        m.began_s.append(asyncio.get_running_loop().time())
        try:
            await self._or_die()
            self._rule(text)
            await self._or_die()
        finally:
            m.running[self.host] -= 1
        m.answered[f"{self.expert}/{text}"] += 1
        return Completion(self.expert, f"{self.expert}: {text}", "stop", Usage(1, 1), m.answer_s)

    async def _or_die(self) -> None:
        ended = self.machines.ended[self.host]
        try:
            async with asyncio.timeout(self.machines.answer_s / 2):
                await ended.wait()
        except TimeoutError:
            return
        raise EngineUnavailable(self.expert, "connection lost")

    def _rule(self, text: str) -> None:
        try:
            self.machines.rule(text)
        except Death:
            self.machines.ended[self.host].set()
            raise EngineUnavailable(self.expert, "connection lost") from None

    def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        raise NotImplementedError

    async def count_tokens(self, question: Question) -> int:
        return 1

    async def health(self) -> Health:
        return Health(not self.machines.ended[self.host].is_set())


class MoodyQueue:
    """The queue of this process, which can be ``away``."""

    def __init__(self, clock: LoopClock) -> None:
        self.away = False
        self._queue: WorkQueue = InProcessQueue(clock)

    def __getattr__(self, name: str) -> Any:
        return self._fail if self.away else getattr(self._queue, name)

    async def _fail(self, *given: object) -> None:
        await asyncio.sleep(0)
        raise QueueUnavailable("the queue is away")

    def use(self, queue: WorkQueue) -> None:
        """Is another queue from now on."""
        self._queue = queue


def units_of(expert: str, count: int) -> list[Unit]:
    return [
        Unit(f"{expert}/{n}", expert, Question.of(f"{n}"), Sampling(temperature=0.0))
        for n in range(count)
    ]


def batches_of(units: Sequence[Unit], size: int = 8) -> list[Batch]:
    found = []
    for expert in sorted({unit.expert for unit in units}):
        keys = [unit.key for unit in units if unit.expert == expert]
        for start in range(0, len(keys), size):
            found.append(Batch(f"{expert}-{start}", expert, tuple(keys[start : start + size])))
    return found


class Scene:
    """A queue, a store and any number of workers with a node each."""

    def __init__(self, units: Sequence[Unit], hosts: Mapping[str, str] | None = None) -> None:
        self.clock = LoopClock()
        self.queue = MoodyQueue(self.clock)
        self.store = Store(units)
        self.batches = batches_of(units)
        self.hosts = hosts or {unit.expert: unit.expert for unit in units}
        self.nodes: list[Machines] = []
        self.tasks: list[asyncio.Task[None]] = []

    def worker(
        self,
        settings: WorkerSettings | None = None,
        planner: Planner | None = None,
        **given: object,
    ) -> tuple[Worker, Machines]:
        """A new worker with a node of its own, which is not started yet."""
        machines = Machines(self.hosts, **given)  # type: ignore[arg-type]
        self.nodes.append(machines)
        node = Node(machines, lambda: sorted(self.hosts))
        name = f"w{len(self.nodes)}"
        queue = cast("WorkQueue", self.queue)
        made = Worker(
            name,
            node,
            queue,
            self.store,
            clock=self.clock,
            planner=planner,
            settings=settings,
        )
        return made, machines

    def start(self, worker: Worker) -> asyncio.Task[None]:
        task = asyncio.create_task(worker.run())
        self.tasks.append(task)
        return task

    async def until_settled(self, every_s: float = 0.5) -> float:
        """Publishes what is open again and again until all is settled; returns the seconds."""
        began_s = self.clock.monotonic()
        while not self.store.settled:
            for task in self.tasks:
                if task.done() and not task.cancelled():
                    task.result()
            if not (self.store.away or self.queue.away):
                await self.queue.publish(self.open_batches())
            await asyncio.sleep(every_s)
        return self.clock.monotonic() - began_s

    def open_batches(self) -> list[Batch]:
        done = {*self.store.kept, *self.store.parked}
        return [b for b in self.batches if not done.issuperset(b.keys)]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def paid(self) -> Counter[str]:
        return sum((node.answered for node in self.nodes), Counter())
