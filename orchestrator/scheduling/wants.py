"""Which engines are wanted, and in which order: demand, seen from one GPU.

In order of
1. what *presses*: online work that will break its bound unless its engine comes now, the least
   slack first; then work that has waited ``patience_s`` longer than what is being served;
2. engines that are awake or on their way, those that answer first;
3. the others, online work first, then the longest waiting (in steps of ``patience_s``), then by
   Johnson's rule.

Loading and generating overlap as long as two engines fit, so that a batch is a flow shop of two
machines: every engine passes the loader, then the GPU.  For that, Johnson's rule (1954) gives the
shortest makespan: those that load faster than they generate come first, the fastest loading
first; then the others, the longest generating first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator.scheduling.cluster import EngineFigures
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Demand, Resident, Situation

STOPPED = Resident(Tier.STOPPED)


@dataclass(frozen=True, slots=True)
class Want:
    """One engine that has work waiting."""

    figures: EngineFigures
    resident: Resident
    demand: tuple[Demand, ...]
    """Of its experts: online first, then the longest waiting."""
    up_s: float
    work_s: float
    """To generate all of it, with the GPU to itself."""
    waited_s: float
    slack_s: float
    """What is left of the tightest bound."""
    presses: bool = False

    @property
    def name(self) -> str:
        """The engine's name."""
        return self.figures.name

    @property
    def online(self) -> bool:
        """Some of it is online work."""
        return self.demand[0].online

    @property
    def up(self) -> bool:
        """Awake, or on its way there."""
        return self.resident.serves or self.resident.moving is Tier.AWAKE


def wants(situation: Situation, policy: Policy) -> list[Want]:
    """The engines this GPU may serve that have work waiting, the most wanted first."""
    found = [
        _want(engine, situation, theirs)
        for engine, theirs in _by_engine(situation)
        if engine.gpu_gb <= situation.gpu.memory_gb
    ]
    found = _ours(found, situation, policy)
    youngest = min((w.waited_s for w in found if w.up), default=math.inf)
    leave_s = _leaving_s(situation)
    marked = [_marked(w, leave_s, youngest + policy.patience_s) for w in found]
    cover_s = max((r.drain_s for r in situation.residents.values()), default=0.0)
    return sorted(marked, key=lambda w: _key(w, cover_s, policy))


def _by_engine(situation: Situation) -> Iterable[tuple[EngineFigures, list[Demand]]]:
    waiting: dict[str, list[Demand]] = {}
    for demand in situation.demand:
        if demand.units > 0:
            waiting.setdefault(demand.expert, []).append(demand)
    for engine in situation.engines:
        if theirs := [d for expert in engine.experts for d in waiting.get(expert, ())]:
            yield engine, theirs


def _want(engine: EngineFigures, situation: Situation, demand: list[Demand]) -> Want:
    resident = situation.residents.get(engine.name, STOPPED)
    demand.sort(key=lambda d: (not d.online, d.bound_s - d.waited_s, -d.waited_s, d.expert))
    return Want(
        figures=engine,
        resident=resident,
        demand=tuple(demand),
        up_s=engine.up_s(resident.tier),
        work_s=sum(d.units * d.tokens for d in demand) / engine.rate(sum(d.units for d in demand)),
        waited_s=max(d.waited_s for d in demand),
        slack_s=min(d.bound_s - d.waited_s for d in demand),
    )


def _ours(found: list[Want], situation: Situation, policy: Policy) -> list[Want]:
    """Without what others hold; and without what was placed elsewhere, while there is own work."""
    free = [w for w in found if w.name not in situation.held or w.resident.tier > Tier.STOPPED]
    if situation.assigned is not None:
        own = [w for w in found if w.name in situation.assigned and (w in free or _pays(w))]
        own += [w for w in free if w.up and w not in own]
        free = own or free
    if free or not policy.help:
        return free
    return [w for w in found if _pays(w)]


def _pays(want: Want) -> bool:
    """Joining the GPU that holds it: loading is over well before that would be done alone."""
    return want.work_s > 2 * want.up_s


def _leaving_s(situation: Situation) -> float:
    """How long it takes at most until somebody has made room."""
    known = situation.figures()
    return max(
        (
            r.drain_s + known[name].down_s(Tier.STOPPED)
            for name, r in situation.residents.items()
            if r.tier is Tier.AWAKE
        ),
        default=0.0,
    )


def _marked(want: Want, leave_s: float, aged_s: float) -> Want:
    late = want.slack_s <= (0.0 if want.up else want.up_s + leave_s)
    if not late and (want.up or want.waited_s < aged_s):
        return want
    return replace(want, presses=True)


def _key(want: Want, cover_s: float, policy: Policy) -> tuple[float | str, ...]:
    if want.presses:
        return (0, want.slack_s, -want.waited_s, want.name)
    age = -math.floor(want.waited_s / policy.patience_s)
    if want.up:
        return (1, want.resident.running == 0, age, *_johnson(want), want.name)
    outlasts = want.up_s + 2 * want.work_s > cover_s  # they would share the GPU
    return (2, not want.online, age, outlasts, *_johnson(want), want.name)


def _johnson(want: Want) -> tuple[float, float]:
    if want.up_s < want.work_s:
        return (0, want.up_s)
    return (1, -want.work_s)
