"""What a GPU can be told to do."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.scheduling.residency import Tier


@dataclass(frozen=True, slots=True)
class Run:
    """Begin up to ``units`` of the expert's waiting completions on its engine, which is awake."""

    engine: str
    expert: str
    units: int
    online: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Bring the engine to ``tier``; it answers nothing now."""

    engine: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class Wait:
    """Begin nothing until something changes, or ``for_s`` have passed (None: no such moment)."""

    for_s: float | None = None


Step = Run | Move | Wait
