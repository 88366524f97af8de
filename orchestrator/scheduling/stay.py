"""What a worker does next where nobody plans: a small rule that is seldom wrong.

Stays with what is loaded while there is work for it; then takes the deepest queue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.scheduling.lobby import Party
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.steps import Move, Run, Step, Wait
from orchestrator.scheduling.work import Depth


@dataclass(frozen=True, slots=True)
class EngineView:
    """One engine of the worker's: ``at_hand`` units it was given and has not settled, ``room`` for
    more; ``moving`` is where it is being brought, while it is.  A ``fixed`` one is not the node's
    to move.  It has been awake for ``awake_s`` and without work for ``idle_s``, in seconds."""

    tier: Tier
    moving: Tier | None = None
    at_hand: int = 0
    room: int = 0
    fixed: bool = False
    awake_s: float = math.inf
    idle_s: float = 0.0

    @property
    def serves(self) -> bool:
        """It takes requests."""
        return self.tier is Tier.AWAKE and self.moving is None

    @property
    def occupies(self) -> bool:
        """It takes the node's memory, now or soon."""
        return not self.fixed and (self.tier is not Tier.STOPPED or self.moving is not None)


@dataclass(frozen=True, slots=True)
class View:
    """What one worker sees: the engine of each expert it can serve, and the queue's figures.

    ``waited_s`` is how long there has been work waiting of each expert, in seconds; ``parties``
    are the requests that wait beside the queue.
    """

    worker: str
    hosts: Mapping[str, str]
    engines: Mapping[str, EngineView]
    depths: Mapping[str, Depth]
    holders: Mapping[str, str]
    waited_s: Mapping[str, float] = field(default_factory=dict)
    parties: tuple[Party, ...] = ()

    def engine(self, name: str) -> EngineView:
        """The engine; one that nobody speaks of is stopped."""
        return self.engines.get(name, EngineView(Tier.STOPPED))

    def is_taken(self, expert: str) -> bool:
        """Whether another worker serves the expert."""
        return self.holders.get(expert, self.worker) != self.worker


class Planner(Protocol):
    """Says what to do next.  Pure: the same view, the same step."""

    def next_step(self, view: View) -> Step:
        """One step; it is asked again, with what changed, until it says :class:`Wait`."""


@dataclass(frozen=True, slots=True)
class StayThenDeepest:
    """At most ``awake`` engines are up at a time (None: as many as are wanted).

    An expert that another worker serves is joined if at least ``join_from`` of its batches wait.
    """

    awake: int | None = 1
    join_from: int = 8

    def next_step(self, view: View) -> Step:
        wanted = sorted(self._workable(view), key=lambda expert: _order(view, expert))
        for expert in wanted:
            engine = view.engine(view.hosts[expert])
            if engine.serves and engine.room > 0:
                return Run(view.hosts[expert], expert, engine.room)
        return self._load(view, [view.hosts[expert] for expert in wanted])

    def _workable(self, view: View) -> list[str]:
        return [
            expert
            for expert in view.hosts
            if (depth := view.depths.get(expert))
            and depth.waiting >= (self.join_from if view.is_taken(expert) else 1)
        ]

    def _load(self, view: View, wanted: list[str]) -> Step:
        """Brings the most wanted engine up, if there is room or can be made."""
        up = [name for name, engine in view.engines.items() if engine.occupies]
        missing = [n for n in wanted if n not in up and not view.engine(n).serves]
        if not missing:
            return Wait()
        if self.awake is None or len(up) < self.awake:
            return Move(missing[0], Tier.AWAKE)
        idle = (name for name in up if name not in wanted and not view.engine(name).at_hand)
        leaving = next((name for name in idle if view.engine(name).moving is None), None)
        return Move(leaving, Tier.STOPPED) if leaving else Wait()


def _order(view: View, expert: str) -> tuple[bool, bool, int, str]:
    """Ours first, then what nobody serves; then the deepest."""
    ours = view.holders.get(expert) == view.worker
    return not ours, view.is_taken(expert), -view.depths[expert].waiting, expert
