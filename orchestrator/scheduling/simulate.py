"""What a cluster would do under a planner: a simulation, event by event.

The planner is whatever decides for one GPU (:data:`Decide`): ours calls the same `next_step` that
workers call, and `rivals.py` holds others.  Time is a number here; nothing waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.scheduling.cluster import Cluster
from orchestrator.scheduling.machine import Machine
from orchestrator.scheduling.planner import next_step
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.situation import Situation
from orchestrator.scheduling.steps import Move, Run, Step, Wait
from orchestrator.scheduling.workload import Request, Waiting, in_order

STEPS_PER_EVENT = 100_000
"""A planner that takes more steps at one moment goes round in circles."""

EVENTS_PER_REQUEST = 100
"""A planner that needs more moments than this, and a few, gets nothing done."""

STUCK = "nothing can happen any more, and {waiting} requests wait: does every engine fit its GPU?"


@dataclass(slots=True)
class World:
    """All that planners may look at."""

    cluster: Cluster
    machines: Sequence[Machine]
    now_s: float = 0.0
    waiting: Waiting = field(default_factory=Waiting)

    def situation(self, machine: Machine, assigned: frozenset[str] | None = None) -> Situation:
        """How things stand on one GPU."""
        others = [m for m in self.machines if m is not machine]
        host_gb = next(n.host_gb for n in self.cluster.nodes if n.name == machine.gpu.node)
        theirs = sum(m.host_gb() for m in others if m.gpu.node == machine.gpu.node)
        return Situation(
            gpu=machine.gpu,
            engines=self.cluster.engines,
            residents=machine.residents(self.now_s),
            demand=self.waiting.demand(self.now_s),
            host_gb=host_gb - theirs,
            held=frozenset(name for m in others for name in m.here()),
            assigned=assigned,
        )


Decide = Callable[[World, Machine], Step]


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of a plan."""

    at_s: float
    gpu: str
    step: Step


@dataclass(frozen=True, slots=True)
class GpuUse:
    """Shares of the makespan.  ``useful``: what full batches would have taken."""

    useful: float
    generating: float
    loading: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """``begun_s`` and ``done_s``: when each request was, by id; ``loads``: moves to awake."""

    makespan_s: float
    loads: int
    cold_loads: int
    use: Mapping[str, GpuUse]
    plan: tuple[Entry, ...]
    begun_s: Mapping[int, float]
    done_s: Mapping[int, float]

    def waits(self, requests: Sequence[Request]) -> list[float]:
        """Seconds until each online request was begun, the shortest first."""
        return sorted(self.begun_s[r.id] - r.arrives_s for r in requests if r.online)


def ours(
    placement: Mapping[str, frozenset[str]] | None = None, policy: Policy | None = None
) -> Decide:
    """The planner that workers ask; ``placement``: the engines assigned to each GPU."""
    chosen = policy or Policy(help=True)

    def decide(world: World, machine: Machine) -> Step:
        assigned = placement.get(machine.gpu.name) if placement else None
        return next_step(world.situation(machine, assigned), chosen)

    return decide


def simulate(cluster: Cluster, requests: Sequence[Request], decide: Decide) -> Outcome:
    """Runs until all ``requests`` are done; ValueError if that will never be."""
    machines = [Machine(gpu, cluster.engines) for gpu in cluster.gpus]
    world = World(cluster, machines)
    coming = in_order(requests)
    plan: list[Entry] = []
    begun: dict[int, float] = {}
    done: dict[int, float] = {}
    for _ in range(10_000 + EVENTS_PER_REQUEST * len(requests)):
        if len(done) == len(requests):
            return _outcome(world, plan, begun, done)
        while coming and coming[0].arrives_s <= world.now_s + 1e-9:
            world.waiting.add(coming.popleft())
        wake_s = min(_drive(world, machine, decide, plan, begun) for machine in machines)
        after_s = min(machine.next_in_s(world.now_s) for machine in machines)
        arrival_s = coming[0].arrives_s - world.now_s if coming else math.inf
        if min(after_s, arrival_s, wake_s) == math.inf:
            raise ValueError(STUCK.format(waiting=len(requests) - len(done)))
        by_s = max(0.0, min(after_s, arrival_s, wake_s))
        world.now_s += by_s
        for machine in machines:
            machine.advance(by_s)
            done.update((request.id, world.now_s) for request in machine.finish(world.now_s))
    raise ValueError(f"{len(requests) - len(done)} requests are never done")


def _drive(
    world: World, machine: Machine, decide: Decide, plan: list[Entry], begun: dict[int, float]
) -> float:
    """Begins whatever the planner says; seconds until it wants to be asked again."""
    for _ in range(STEPS_PER_EVENT):
        step = decide(world, machine)
        match step:
            case Wait():
                return math.inf if step.for_s is None else step.for_s
            case Move():
                machine.move(step.engine, step.tier, world.now_s)
            case Run():
                _begin(world, machine, step, begun)
        plan.append(Entry(world.now_s, machine.gpu.name, step))
    raise ValueError(f"the planner of {machine.gpu.name!r} does not come to an end: {plan[-1]}")


def _begin(world: World, machine: Machine, run: Run, begun: dict[int, float]) -> None:
    for request in world.waiting.take(run.expert, run.online, run.units):
        if request.id in begun:
            raise ValueError(f"request {request.id} is begun twice")
        machine.processes[run.engine].begin(request, world.now_s)
        begun[request.id] = world.now_s


def _outcome(
    world: World, plan: list[Entry], begun: dict[int, float], done: dict[int, float]
) -> Outcome:
    makespan = max(done.values(), default=0.0)
    share = 1 / makespan if makespan else 0.0
    return Outcome(
        makespan_s=makespan,
        loads=sum(m.loads for m in world.machines),
        cold_loads=sum(m.cold_loads for m in world.machines),
        use={
            m.gpu.name: GpuUse(m.useful_s * share, m.generating_s * share, m.loading_s * share)
            for m in world.machines
        },
        plan=tuple(plan),
        begun_s=begun,
        done_s=done,
    )
