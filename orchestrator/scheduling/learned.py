"""What a node learns of its engines while it runs them: how long each takes to come up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestrator.scheduling.cluster import EngineFigures


@dataclass(frozen=True, slots=True)
class Learned:
    """The ``figures`` of engines that were brought up here, each of the size of a slot.

    ``tell`` hears of each load too.
    """

    sleeps: bool
    tell: Callable[[str, float], None] = lambda engine, seconds: None
    figures: dict[str, EngineFigures] = field(default_factory=dict)

    def loaded(self, engine: str, seconds: float) -> None:
        """The engine came up, which took so many seconds."""
        before = self.figures.get(engine) or EngineFigures(engine, 1.0, sleeps=self.sleeps)
        self.figures[engine] = replace(before, load_s=seconds)
        self.tell(engine, seconds)
