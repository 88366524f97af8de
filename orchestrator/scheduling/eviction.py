"""Who makes room, and where it goes.

Belady's rule: who is needed again last goes first.  Among those with work waiting, that is the
last in the order of wants; before them go those without, the longest expected gap first.  The gap
is 1 / rate where a rate was seen, else the time since the last answer (least recently used).

Where it goes is whatever is expected to take least time: with p the chance that it returns,

    cost(tier) = down_s(tier) + p · up_s(tier)

p = 1 for those with work waiting, else patience / (patience + gap).  Level 1 takes host memory;
where that is full, sleepers that return later are stopped for it, if that saves time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.scheduling.cluster import EngineFigures
from orchestrator.scheduling.policy import Policy
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Resident, Situation, gpu_gb, host_gb
from orchestrator.scheduling.steps import Move

ROUNDING_GB = 1e-9


class Eviction:
    """Makes room on one GPU; ``order``: the names of the wanted engines, the most wanted first."""

    def __init__(self, situation: Situation, order: Sequence[str], policy: Policy) -> None:
        self._now = situation
        self._known = situation.figures()
        self._rank = {name: index for index, name in enumerate(order)}
        self._policy = policy

    def victims(self, target: EngineFigures, staying: Collection[str]) -> tuple[str, ...] | None:
        """Who must leave for ``target``, nobody of ``staying``; None if that is not enough."""
        missing = self._missing(target)
        if missing <= 0:
            return ()
        leavers = [n for n in self._farthest() if n != target.name and n not in staying]
        awake = [n for n in leavers if Tier.AWAKE in (self._at(n).tier, self._at(n).moving)]
        for candidates, keeps in ((awake, True), (leavers, False)):
            freed = {name: self._freed(name, keeps=keeps) for name in candidates}
            if sum(freed.values()) >= missing:
                return _fewest(candidates, freed, missing)
        return None

    def move(self, victim: str, target: EngineFigures, victims: Collection[str]) -> Move:
        """The victim's way out, or that of a sleeper whose host memory it is better given."""
        engine = self._known[victim]
        asleep = self._at(victim).tier is not Tier.AWAKE
        if asleep or not engine.sleeps or self._tight(target, victims):
            return Move(victim, Tier.STOPPED)
        without = min((Tier.STOPPED, Tier.ASLEEP_2), key=lambda tier: self._cost(engine, tier))
        saved = self._cost(engine, without) - self._cost(engine, Tier.ASLEEP_1)
        if saved <= 0:
            return Move(victim, without)
        if self._now.host_free_gb() + ROUNDING_GB >= engine.asleep_gb:
            return Move(victim, Tier.ASLEEP_1)
        for sleeper in self._displaced(engine, saved):
            return Move(sleeper, Tier.STOPPED)
        return Move(victim, without)

    def _missing(self, target: EngineFigures) -> float:
        """GB that ``target`` lacks, once all moves under way are over."""
        has = gpu_gb(target, self._at(target.name)) if target.name in self._now.residents else 0.0
        coming = sum(
            gpu_gb(self._known[name], r) - gpu_gb(self._known[name], Resident(r.moving))
            for name, r in self._now.residents.items()
            if r.moving is not None
        )
        return target.gpu_gb - has - self._now.gpu_free_gb() - coming - ROUNDING_GB

    def _tight(self, target: EngineFigures, victims: Collection[str]) -> bool:
        """There is room only if the victims leave nothing behind."""
        freed = sum(self._freed(name, keeps=True) for name in victims)
        return freed < self._missing(target)

    def _freed(self, name: str, *, keeps: bool) -> float:
        """GB that come free when it leaves; asleep it ``keeps`` its residue."""
        engine, resident = self._known[name], self._at(name)
        if resident.moving not in (None, Tier.AWAKE):
            return 0.0
        kept = engine.residue_gb if keeps and engine.sleeps else 0.0
        return gpu_gb(engine, resident) - kept

    def _farthest(self) -> list[str]:
        """Everyone here, the farthest next use first; of those without work, the idle first."""

        def key(name: str) -> tuple[float | str, ...]:
            if name in self._rank:
                return (1, -self._rank[name], 0.0, name)
            return (0, self._at(name).busy, -_gap_s(self._at(name)), name)

        return sorted(self._now.residents, key=key)

    def _displaced(self, engine: EngineFigures, saved: float) -> list[str]:
        """Sleepers to stop so that ``engine`` can sleep at level 1; none if that saves nothing."""
        short = engine.asleep_gb - self._now.host_free_gb() - ROUNDING_GB
        order = self._farthest()
        chosen = []
        for name in order[: order.index(engine.name)]:
            other, resident = self._known[name], self._at(name)
            if resident.tier is not Tier.ASLEEP_1 or resident.moving is not None:
                continue
            saved -= other.stop_s + self._chance(name) * (other.load_s - other.wake_1_s)
            short -= host_gb(other, resident)
            chosen.append(name)
            if short <= 0:
                return chosen if saved > 0 else []
        return []

    def _cost(self, engine: EngineFigures, tier: Tier) -> float:
        return engine.down_s(tier) + self._chance(engine.name) * engine.up_s(tier)

    def _chance(self, name: str) -> float:
        if name in self._rank:
            return 1.0
        patience = self._policy.patience_s
        return patience / (patience + _gap_s(self._at(name)))

    def _at(self, name: str) -> Resident:
        return self._now.residents.get(name, Resident(Tier.STOPPED))


def _gap_s(resident: Resident) -> float:
    return 1 / resident.rate_s if resident.rate_s > 0 else resident.idle_s


def _fewest(order: Sequence[str], freed: dict[str, float], missing: float) -> tuple[str, ...]:
    """The first of ``order`` that free enough together, without those that are not needed."""
    chosen: list[str] = []
    total = 0.0
    for name in order:
        if total >= missing:
            break
        chosen.append(name)
        total += freed[name]
    for name in reversed(chosen):
        if total - freed[name] >= missing:
            chosen.remove(name)
            total -= freed[name]
    return tuple(chosen)
