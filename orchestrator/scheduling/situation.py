"""How things stand on one GPU: all that a decision may know.  It holds no clock: ages are given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.scheduling.cluster import EngineFigures, Gpu
from orchestrator.scheduling.residency import Tier


@dataclass(frozen=True, slots=True)
class Resident:
    """An engine's process on this GPU.  Stopped engines need not be listed."""

    tier: Tier
    running: int = 0
    """Requests it answers now; an engine that answers is never put to sleep or stopped."""
    moving: Tier | None = None
    """Where it is being brought, while it is."""
    drain_s: float = 0.0
    """About how long its running requests still take, if it gets no more; 0 if unknown."""
    awake_s: float = math.inf
    """How long it has been awake."""
    idle_s: float = 0.0
    """How long since it answered last."""
    rate_s: float = 0.0
    """Requests a second it had lately; 0 if unknown."""

    @property
    def busy(self) -> bool:
        """It answers now, or is being moved: leave it alone."""
        return self.running > 0 or self.moving is not None

    @property
    def serves(self) -> bool:
        """It takes requests."""
        return self.tier is Tier.AWAKE and self.moving is None


@dataclass(frozen=True, slots=True)
class Demand:
    """Work of one expert that nobody has claimed; online and batch work are told apart.

    ``units`` completions of about ``tokens`` each; the oldest has ``waited_s``.  ``bound_s``: how
    long one may wait before it is begun (``inf``: as long as it takes).
    """

    expert: str
    units: int
    tokens: float = 500.0
    waited_s: float = 0.0
    online: bool = False
    bound_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Situation:
    """One GPU now.

    ``engines``: those it may load.  ``residents``: by engine.  ``host_gb``: host memory that this
    GPU's sleepers may take, the present ones included.  ``held``: engines that live on another GPU.
    ``assigned``: engines placed here (None: no placement); they come before others' work.
    """

    gpu: Gpu
    engines: tuple[EngineFigures, ...]
    residents: Mapping[str, Resident] = field(default_factory=dict)
    demand: tuple[Demand, ...] = ()
    host_gb: float = 0.0
    held: frozenset[str] = frozenset()
    assigned: frozenset[str] | None = None

    def tier(self, engine: str) -> Tier:
        """Where the engine is on this GPU."""
        resident = self.residents.get(engine)
        return resident.tier if resident else Tier.STOPPED

    def figures(self) -> dict[str, EngineFigures]:
        """The engines by name."""
        return {engine.name: engine for engine in self.engines}

    def gpu_free_gb(self) -> float:
        """GPU memory that nobody has; what is being moved counts with the more it has or gets."""
        known = self.figures()
        taken = sum(gpu_gb(known[name], r) for name, r in self.residents.items())
        return self.gpu.memory_gb - taken

    def host_free_gb(self) -> float:
        """Host memory left for one more sleeper."""
        known = self.figures()
        taken = sum(host_gb(known[name], r) for name, r in self.residents.items())
        return self.host_gb - taken

    @property
    def moving(self) -> bool:
        """Some engine of this GPU is on its way up or down."""
        return any(r.moving is not None for r in self.residents.values())


def gpu_gb(engine: EngineFigures, resident: Resident) -> float:
    """GPU memory that a resident engine has, or is about to have."""
    tiers = {resident.tier, resident.moving}
    if Tier.AWAKE in tiers:
        return engine.gpu_gb
    return 0.0 if tiers <= {Tier.STOPPED, None} else engine.residue_gb


def host_gb(engine: EngineFigures, resident: Resident) -> float:
    """Host memory that a resident engine has, or is about to have."""
    return engine.asleep_gb if Tier.ASLEEP_1 in (resident.tier, resident.moving) else 0.0
