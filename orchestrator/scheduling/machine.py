"""A simulated GPU: engines that load, generate at the rates given, and share it equally.

Every request of one engine gets the same number of tokens a second, so an engine's progress is one
number (`generated`), and a request ends when that passes where it began plus its length.  Engines
that generate at the same time get equal parts of the GPU; loading slows nobody down.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator

from orchestrator.scheduling.cluster import EngineFigures, Gpu
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Resident, gpu_gb, host_gb
from orchestrator.scheduling.workload import Request

RECENT_S = 600.0
"""How far back a rate of arrivals is counted."""


class ImpossibleStep(Exception):
    """A planner moved an engine that answers, or put more into a GPU than it holds."""


class Process:
    """One engine on one GPU."""

    def __init__(self, figures: EngineFigures) -> None:
        self.figures = figures
        self.tier = Tier.STOPPED
        self.moving: Tier | None = None
        self.ready_s = math.inf
        self.awake_since_s = math.inf
        self.answered_s = 0.0
        self.generated = 0.0
        self._ends: list[tuple[float, int, Request]] = []
        self._begun: deque[float] = deque()

    @property
    def running(self) -> int:
        """How many requests it answers."""
        return len(self._ends)

    def begin(self, request: Request, now_s: float) -> None:
        """It answers one more from now on."""
        if self.tier is not Tier.AWAKE or self.moving is not None:
            raise ImpossibleStep(f"{self.figures.name!r} is asked while {self.tier.name}")
        heapq.heappush(self._ends, (self.generated + request.tokens, request.id, request))
        self._begun.append(now_s)

    def move(self, tier: Tier, now_s: float) -> None:
        """It is on its way to ``tier`` from now on."""
        if self.running or self.moving is not None:
            raise ImpossibleStep(f"{self.figures.name!r} is moved while it is busy")
        up = tier is Tier.AWAKE
        took = self.figures.up_s(self.tier) if up else self.figures.down_s(tier)
        self.moving, self.ready_s = tier, now_s + took

    def arrive(self, now_s: float) -> None:
        """Its move is over."""
        assert self.moving is not None
        self.tier, self.moving, self.ready_s = self.moving, None, math.inf
        self.awake_since_s = self.answered_s = now_s

    def rate(self, sharing: int) -> float:
        """Tokens a second of each of its requests, with ``sharing`` engines generating."""
        return self.figures.rate(self.running) / self.running / sharing if self.running else 0.0

    def ends_in_s(self, sharing: int) -> float:
        """Until its next request is done."""
        if not self._ends:
            return math.inf
        return max(0.0, (self._ends[0][0] - self.generated) / self.rate(sharing))

    def finish(self, now_s: float) -> Iterator[Request]:
        """Those that are done now."""
        while self._ends and self._ends[0][0] <= self.generated + 1e-6:
            self.answered_s = now_s
            yield heapq.heappop(self._ends)[2]

    def state(self, now_s: float, sharing: int) -> Resident:
        """As the planner sees it."""
        while self._begun and self._begun[0] < now_s - RECENT_S:
            self._begun.popleft()
        last = max((end for end, _, _ in self._ends), default=self.generated)
        rate = self.rate(max(sharing, 1))
        return Resident(
            self.tier,
            self.running,
            self.moving,
            drain_s=(last - self.generated) / rate if rate else 0.0,
            awake_s=now_s - self.awake_since_s if self.tier is Tier.AWAKE else 0.0,
            idle_s=now_s - self.answered_s,
            rate_s=len(self._begun) / RECENT_S,
        )


class Machine:
    """One GPU and its processes; ``generating_s``, ``loading_s`` and ``useful_s`` add up.

    ``useful_s``: how long full batches would have taken for what was generated.
    """

    def __init__(self, gpu: Gpu, engines: Iterable[EngineFigures]) -> None:
        self.gpu = gpu
        self.processes = {engine.name: Process(engine) for engine in engines}
        self.generating_s = self.loading_s = self.useful_s = 0.0
        self.loads = self.cold_loads = 0

    @property
    def sharing(self) -> int:
        """How many engines generate."""
        return sum(1 for p in self.processes.values() if p.running)

    def here(self) -> dict[str, Process]:
        """Those that are not stopped."""
        return {
            name: process
            for name, process in self.processes.items()
            if process.tier is not Tier.STOPPED or process.moving is not None
        }

    def residents(self, now_s: float) -> dict[str, Resident]:
        """As the planner sees them."""
        sharing = self.sharing
        return {name: process.state(now_s, sharing) for name, process in self.here().items()}

    def host_gb(self) -> float:
        """Host memory that its sleepers have."""
        return sum(
            host_gb(p.figures, Resident(p.tier, moving=p.moving)) for p in self.here().values()
        )

    def move(self, engine: str, tier: Tier, now_s: float) -> None:
        """Begins a move; refuses what does not fit."""
        process = self.processes[engine]
        if tier is Tier.AWAKE:
            self.loads += 1
            self.cold_loads += process.tier is Tier.STOPPED
        process.move(tier, now_s)
        taken = sum(
            gpu_gb(p.figures, Resident(p.tier, moving=p.moving)) for p in self.here().values()
        )
        if taken > self.gpu.memory_gb + 1e-6:
            raise ImpossibleStep(f"{self.gpu.name!r} holds {taken:g} of {self.gpu.memory_gb:g} GB")

    def next_in_s(self, now_s: float) -> float:
        """Until something here is over."""
        sharing = self.sharing
        return min(
            (min(p.ready_s - now_s, p.ends_in_s(sharing)) for p in self.processes.values()),
            default=math.inf,
        )

    def advance(self, by_s: float) -> None:
        """Generates for ``by_s``, in which nothing begins or ends."""
        sharing = self.sharing
        self.generating_s += by_s if sharing else 0.0
        self.loading_s += by_s if any(p.moving is not None for p in self.here().values()) else 0.0
        for process in self.processes.values():
            if process.running:
                made = process.rate(sharing) * by_s
                process.generated += made
                self.useful_s += made * process.running / process.figures.tokens_s

    def finish(self, now_s: float) -> list[Request]:
        """Ends what is over now: moves, and the requests it gives back."""
        done: list[Request] = []
        for process in self.processes.values():
            if process.ready_s <= now_s + 1e-9:
                process.arrive(now_s)
            done.extend(process.finish(now_s))
        return done
