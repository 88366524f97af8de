"""What a worker tells of itself to be looked at: nothing is decided by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class GpuTold:
    """A GPU's memory, in bytes."""

    name: str
    used: float
    total: float


@dataclass(frozen=True, slots=True)
class MachineTold:
    """The machine of a worker: its name, its memory in bytes, its GPUs."""

    host: str = ""
    used: float = 0.0
    total: float = 0.0
    gpus: tuple[GpuTold, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineTold:
    """An engine that is not simply stopped: where it is, where it is being brought, how many
    requests it has at hand, and whom it serves.  A ``fixed`` one is somebody else's server."""

    name: str
    tier: str
    moving: str | None = None
    at_hand: int = 0
    fixed: bool = False
    experts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MoveTold:
    """A move that the planner would make if nothing else came."""

    engine: str
    tier: str


@dataclass(frozen=True, slots=True)
class WorkerTold:
    """How a worker is: alive since then (ISO 8601), on which machine, with room for how many
    engines (None: no limit), which are up, and what it would move next."""

    since: str = ""
    slots: int | None = None
    machine: MachineTold = MachineTold()
    engines: tuple[EngineTold, ...] = ()
    plan: tuple[MoveTold, ...] = ()

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """What was told as JSON; by a worker of another version maybe: what is not known here is
        left out."""
        machine = dict(kept.get("machine") or {})
        gpus = tuple(_read(GpuTold, gpu) for gpu in machine.pop("gpus", ()))
        engines = (
            _read(EngineTold, {**e, "experts": tuple(e.get("experts", ()))})
            for e in kept.get("engines", ())
        )
        return cls(
            str(kept.get("since", "")),
            kept.get("slots"),
            _read(MachineTold, {**machine, "gpus": gpus}),
            tuple(engines),
            tuple(_read(MoveTold, move) for move in kept.get("plan", ())),
        )


def _read(kind: Any, kept: Mapping[str, Any]) -> Any:
    return kind(**{name: value for name, value in kept.items() if name in kind.__slots__})
