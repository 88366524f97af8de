"""What the page of workers shows of them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.scheduling.told import EngineTold, GpuTold, MachineTold, MoveTold, WorkerTold
from orchestrator.scheduling.work import Depth, WorkerState
from orchestrator.scheduling.workforce import Standing

MOST_ENGINES = 30
MOST_QUEUES = 100
"""More is counted, not listed: a page of everybody's is read by nobody."""
TIERS = {
    "awake": ("loaded", "good"),
    "asleep_1": ("asleep, weights in memory", "idle"),
    "asleep_2": ("asleep, without weights", "idle"),
    "stopped": ("stopped", "idle"),
}
GOING_TO = {
    "awake": "being loaded",
    "asleep_1": "falling asleep",
    "asleep_2": "falling asleep",
    "stopped": "being stopped",
}
MOVES = {
    "awake": "load",
    "asleep_1": "put to sleep, weights kept in memory",
    "asleep_2": "put to sleep, without weights",
    "stopped": "stop",
}


@dataclass(frozen=True, slots=True)
class EngineLine:
    """An engine of a worker's that is up, or on its way."""

    name: str
    state: str
    kind: str
    at_hand: int
    others: tuple[str, ...]

    @classmethod
    def of(cls, engine: EngineTold) -> EngineLine:
        state, kind = TIERS.get(engine.tier, (engine.tier, "idle"))
        if engine.moving is not None:
            state, kind = GOING_TO.get(engine.moving, engine.moving), "busy"
        elif engine.fixed:
            state = "somebody else's server"
        others = tuple(e for e in engine.experts if e != engine.name)
        return cls(engine.name, state, kind, engine.at_hand, others)


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One worker: ``does`` is what it does now, ``plan`` what it would move next."""

    name: str
    since: datetime | None
    state: str
    kind: str
    does: str
    room: str
    engines: Sequence[EngineLine]
    more: int
    plan: Sequence[str]
    machine: MachineTold
    gpus: Sequence[GpuTold]
    serves: int

    @classmethod
    def of(cls, worker: WorkerState) -> WorkerLine:
        told = worker.told
        engines = sorted(told.engines, key=lambda e: (-e.at_hand, e.moving is None, e.name))
        state, kind = _state(worker)
        return cls(
            worker.name,
            _time(told.since),
            state,
            kind,
            _does(worker),
            _room(told),
            [EngineLine.of(engine) for engine in engines[:MOST_ENGINES]],
            max(0, len(engines) - MOST_ENGINES),
            [move_in_words(move) for move in told.plan],
            told.machine,
            told.machine.gpus,
            len(worker.experts),
        )


@dataclass(frozen=True, slots=True)
class QueueLine:
    """What waits of one expert, and who serves it; ``why`` nobody can, where that is so."""

    expert: str
    waiting: int
    claimed: int
    holder: str
    why: str


@dataclass(frozen=True, slots=True)
class WorkView:
    """The page: workers, queues (the deepest first), and how many more there are."""

    workers: Sequence[WorkerLine]
    queues: Sequence[QueueLine]
    more: int
    waiting: int
    claimed: int
    shared: bool
    away: str

    @classmethod
    def of(cls, standing: Standing) -> WorkView:
        depths = standing.depths
        order = sorted(depths, key=lambda e: (-depths[e].waiting, -depths[e].claimed, e))
        return cls(
            [WorkerLine.of(worker) for worker in standing.workers],
            [
                QueueLine(
                    expert,
                    depths[expert].waiting,
                    depths[expert].claimed,
                    standing.holders.get(expert, ""),
                    _why(expert, depths, standing.workers),
                )
                for expert in order[:MOST_QUEUES]
            ],
            max(0, len(order) - MOST_QUEUES),
            sum(depth.waiting for depth in depths.values()),
            sum(depth.claimed for depth in depths.values()),
            standing.shared,
            standing.away,
        )


def move_in_words(move: MoveTold) -> str:
    """``load math``."""
    return f"{MOVES.get(move.tier, move.tier)} {move.engine}"


def alive_s(since: datetime | None, now: datetime) -> float | None:
    """For how many seconds a worker has been alive; None where it did not tell."""
    return None if since is None else max(0.0, (now - since).total_seconds())


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _state(worker: WorkerState) -> tuple[str, str]:
    if worker.draining:
        return "ending", "busy"
    return ("working", "good") if worker.busy else ("waiting for work", "idle")


def _does(worker: WorkerState) -> str:
    busy = [f"answers {e.at_hand:,} with {e.name}" for e in worker.told.engines if e.at_hand]
    moving = [
        f"{GOING_TO.get(e.moving, e.moving)}: {e.name}" for e in worker.told.engines if e.moving
    ]
    return _listed([*busy, *moving]) or "nothing"


def _listed(parts: Iterable[str], most: int = 4) -> str:
    found = list(parts)
    more = f", and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _room(told: WorkerTold) -> str:
    if told.slots is None:
        return "room for all its engines"
    return f"room for {told.slots} engine{'' if told.slots == 1 else 's'} at a time"


def _why(expert: str, depths: Mapping[str, Depth], workers: Sequence[WorkerState]) -> str:
    if not depths[expert].waiting:
        return ""
    if not workers:
        return "no worker is alive"
    if not any(expert in w.experts and not w.draining for w in workers):
        return "no worker can serve it: their logs say why"
    return ""
