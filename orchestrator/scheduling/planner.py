"""What a GPU does next: a pure function of how things stand.

    A B A B A B   ──>   A A A  B B B         each engine is loaded once, and stays while it has work
    load A │ run A ───────────│ run B ───    and the next one is loaded while the last one drains
                    load B │

A worker asks in a loop, and begins what it is told without waiting for its end::

    step = next_step(situation)
    match step:
        case Run(engine, expert, units):  # engine is awake: begin at most `units` of the expert's
            claim = await queue.claim(me, expert)            # … and answer them in the background
        case Move(engine, tier):          # nothing of it runs
            moving[engine] = create_task(residency.move(engine, tier))
        case Wait(for_s):                 # until something changes, but no longer than for_s
            await queue.wait(for_s or 30.0)

What was begun must show in the next situation, or it is advised again: a run in the expert's
`Demand.units` (less) and its engine's `Resident.running` (more), a move in `Resident.moving` until
it is over, and then in `Resident.tier`.  A situation with one engine loaded and one to come::

    Situation(
        gpu=Gpu("gpu-0", memory_gb=80),
        engines=(EngineFigures("math", gpu_gb=36), EngineFigures("law", gpu_gb=36)),
        residents={"math": Resident(Tier.AWAKE, running=64)},     # those not listed are stopped
        demand=(Demand("math", units=20, tokens=700), Demand("law", units=500, tokens=700)),
    )

gives `Move("law", Tier.AWAKE)`: "math" is full and nearly done, and both fit.

Rules, in this order:
1. Online work runs as soon as its engine is awake.  Batch work runs on the most wanted engine that
   is awake, and on the next one only when that has nothing left waiting.
2. One move at a time.  The most wanted engine that is not awake is loaded as soon as there is room,
   made by those that are needed last (`eviction.py`).  Nobody with work waiting makes room unless
   the other *presses* (`wants.py`); then it gets no more work, drains, and goes.
3. Nobody who answers is moved, ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from orchestrator.scheduling.cluster import Cluster, EngineFigures, Gpu, Node
from orchestrator.scheduling.eviction import Eviction
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Demand, Resident, Situation
from orchestrator.scheduling.steps import Move, Run, Step, Wait
from orchestrator.scheduling.wants import Want, wants

__all__ = [
    "Cluster",
    "Demand",
    "EngineFigures",
    "Gpu",
    "Move",
    "Node",
    "Policy",
    "Resident",
    "Run",
    "Situation",
    "Step",
    "Tier",
    "Wait",
    "next_step",
]

DEFAULT = Policy()


def next_step(situation: Situation, policy: Policy = DEFAULT) -> Step:
    """What this GPU should begin now, beside what it is doing; see the module's text."""
    ordered = wants(situation, policy)
    eviction = Eviction(situation, [want.name for want in ordered], policy)
    target, leaving = _entrant(situation, ordered, eviction, policy)
    run = _run(ordered, leaving)
    if run is not None:
        return run
    if target is None or situation.moving:
        return Wait(_until_s(situation, ordered, policy))
    if not leaving:
        return Move(target.name, Tier.AWAKE)
    idle = [name for name in leaving if not situation.residents[name].busy]
    if idle:
        return eviction.move(idle[0], target.figures, leaving)
    return Wait(_until_s(situation, ordered, policy))


def _entrant(
    situation: Situation, ordered: Sequence[Want], eviction: Eviction, policy: Policy
) -> tuple[Want | None, tuple[str, ...]]:
    """The engine to be loaded next, and who leaves for it."""
    staying = {want.name for want in ordered if want.up and _in_its_turn(want)}
    for want in ordered:
        if want.up:
            staying.add(want.name)
        elif want.presses or want.online or _early_s(ordered, want, policy) <= 0:
            leaving = eviction.victims(want.figures, staying)
            if leaving is not None:
                return want, leaving
    return None, ()


def _in_its_turn(want: Want) -> bool:
    """Loaded for online work a short while ago: it may answer for as long as loading took.

    Otherwise two overloaded engines would spend all their time on replacing each other.
    """
    return want.online and want.resident.awake_s < want.figures.load_s


def _early_s(ordered: Sequence[Want], want: Want, policy: Policy) -> float:
    """How much too early it is to load ``want``, while others are served: 0 or less is time."""
    up = [other for other in ordered if other.up]
    if len(up) > 1:
        return math.inf
    left = sum(other.work_s for other in up)
    return left - policy.prefetch * want.up_s if up else 0.0


def _run(ordered: Sequence[Want], leaving: Sequence[str]) -> Run | None:
    """Work for an engine that has room for it."""
    batch_is_served = False
    for want in ordered:
        if not want.resident.serves or want.name in leaving:
            continue
        room = want.figures.concurrency - want.resident.running
        for demand in want.demand if room > 0 else ():
            if demand.online or not batch_is_served:
                units = min(room, demand.units)
                return Run(want.name, demand.expert, units, demand.online)
        batch_is_served = batch_is_served or any(not d.online for d in want.demand)
    return None


def _until_s(situation: Situation, ordered: Sequence[Want], policy: Policy) -> float | None:
    """When time alone may change the decision."""
    return min((s for s in _moments(situation, ordered, policy) if s > 0), default=None)


def _moments(situation: Situation, ordered: Sequence[Want], policy: Policy) -> Iterator[float]:
    for want in ordered:
        if want.up:
            if want.online:
                yield want.figures.load_s - want.resident.awake_s
            continue
        if math.isfinite(want.slack_s):
            yield want.slack_s - want.up_s
        if math.isfinite(early := _early_s(ordered, want, policy)):
            yield early
