"""The planner as a worker asks it: what the worker sees, put in the planner's terms.

The node is one place with room for so many gigabytes; a node that only counts engines has that
many gigabytes of ``slots``, and each engine takes one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.scheduling.cluster import EngineFigures, Gpu
from orchestrator.scheduling.planner import next_step
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.situation import Demand, Resident, Situation
from orchestrator.scheduling.stay import EngineView, View
from orchestrator.scheduling.steps import Run, Step


@dataclass(frozen=True, slots=True)
class Planned:
    """Follows :func:`~orchestrator.scheduling.planner.next_step`.

    An engine without ``figures`` takes one gigabyte, and sleeps if engines of this node can.  The
    queue tells how many batches wait; each counts as ``batch_units`` units.  A request that
    somebody waits for is begun within ``bound_s`` seconds, if the engines can do that at all.
    """

    gpu: Gpu
    figures: Mapping[str, EngineFigures] = field(default_factory=dict)
    host_gb: float = 0.0
    batch_units: int = 64
    sleeps: bool = False
    bound_s: float = 60.0
    policy: Policy = field(default_factory=lambda: Policy(help=True))

    @classmethod
    def of_slots(
        cls,
        slots: int,
        figures: Mapping[str, EngineFigures] | None = None,
        *,
        sleeps: bool = False,
        bound_s: float = 60.0,
    ) -> Planned:
        """On a node where ``slots`` engines may be up at a time."""
        gpu, known = Gpu("node", memory_gb=float(slots)), {} if figures is None else figures
        return cls(gpu, known, sleeps=sleeps, bound_s=bound_s)

    def next_step(self, view: View) -> Step:
        return _run_fixed(view) or next_step(self._situation(view), self.policy)

    def _situation(self, view: View) -> Situation:
        movable = {name: engine for name, engine in view.engines.items() if not engine.fixed}
        experts = defaultdict[str, list[str]](list)
        for expert, host in view.hosts.items():
            experts[host].append(expert)
        wanted = Counter[str]()
        for party in view.parties:
            wanted[view.hosts.get(party.expert, "")] += party.units
        return Situation(
            gpu=self.gpu,
            engines=tuple(
                self._figures(n, e, experts[n], wanted[n]) for n, e in sorted(movable.items())
            ),
            residents={n: _resident(e) for n, e in movable.items() if e.occupies},
            demand=(*self._parties(view), *(self._demand(view, e) for e in sorted(view.hosts))),
            host_gb=self.host_gb,
            held=frozenset(view.hosts[e] for e in view.hosts if view.is_taken(e)),
        )

    def _figures(
        self, name: str, engine: EngineView, experts: list[str], wanted: int
    ) -> EngineFigures:
        """Who is ``wanted`` beside the queue finds room in it: the engine itself keeps a queue."""
        known = self.figures.get(name) or EngineFigures(name, gpu_gb=1.0, sleeps=self.sleeps)
        others = tuple(expert for expert in sorted(experts) if expert != name)
        room = max(0, engine.room, wanted)
        return replace(known, adapters=others, concurrency=max(1, engine.at_hand + room))

    def _parties(self, view: View) -> Iterator[Demand]:
        for p in view.parties:
            if p.expert in view.hosts:
                bound_s = self.bound_s if p.online else math.inf
                yield Demand(
                    p.expert, p.units, waited_s=p.waited_s, online=p.online, bound_s=bound_s
                )

    def _demand(self, view: View, expert: str) -> Demand:
        depth = view.depths.get(expert)
        units = self.batch_units * depth.waiting if depth else 0
        return Demand(expert, units, waited_s=view.waited_s.get(expert, 0.0))


def _run_fixed(view: View) -> Run | None:
    """Work for an engine that is up whatever is planned: somebody else's server."""
    for expert in sorted(view.hosts):
        name = view.hosts[expert]
        engine, depth = view.engine(name), view.depths.get(expert)
        if engine.fixed and engine.serves and engine.room > 0 and depth and depth.waiting:
            return Run(name, expert, engine.room)
    return None


def _resident(engine: EngineView) -> Resident:
    return Resident(
        engine.tier,
        running=engine.at_hand,
        moving=engine.moving,
        awake_s=engine.awake_s,
        idle_s=engine.idle_s,
    )
