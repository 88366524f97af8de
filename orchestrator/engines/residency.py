"""Which engines of this node are up: the ``Residency`` port over a fleet's managed engines.

Two ways to run a fleet, one port::

    Fleet(...)                 every managed engine is up           engines.all_awake.AllAwake
    Fleet(on_demand=True)      whoever asks says which are up       NodeResidency(fleet)

An expert at somebody else's endpoint is always AWAKE: its server is not ours to move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from coterie.errors import EngineError, EngineUnavailable
from coterie.ports import Engine
from coterie.types import Expert
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.gate import GatedEngine
from orchestrator.engines.managed import ManagedVllm
from orchestrator.engines.placement import make_plan
from orchestrator.engines.resident import Resident
from orchestrator.engines.signals import LoadSignal
from orchestrator.scheduling.residency import Tier


class NodeResidency:
    """Moves the managed engines of ``fleet``, which must be ``on_demand``.

    ``slots`` is how many may be AWAKE at once (None: no limit); ``start_timeout_s`` how long one
    may take to start.  An engine that died stays STOPPED until it is moved.  Used inside the
    fleet's own context: leaving that ends every engine.
    """

    def __init__(
        self, fleet: Fleet, *, slots: int | None = None, start_timeout_s: float = 600.0
    ) -> None:
        self.slots = slots
        self._fleet = fleet
        self._start_timeout_s = start_timeout_s
        self._residents: dict[str, Resident] = {}

    async def sync(self, experts: Sequence[Expert]) -> None:
        """Makes it the residency of the enabled ones of ``experts``, all new ones STOPPED.

        An engine whose command would be another finishes what it answers, and is STOPPED too; on a
        GPU one that is awake takes adapters as it is.
        """
        specs = make_plan(experts).processes
        async with AsyncExitStack() as stack:
            for name, resident in sorted(self._residents.items()):
                spec = specs.get(name)
                if resident.process.spec == spec:
                    continue
                await stack.enter_async_context(resident.lock)
                if spec is None or not await resident.process.adopt(spec):
                    reason = "its engine is being replaced"
                    await stack.enter_async_context(resident.gate.closed(reason))
            await self._fleet.sync(experts)
            self._take_stock()

    def _take_stock(self) -> None:
        processes = self._fleet.processes
        for name in self._residents.keys() - processes.keys():
            self._residents.pop(name).retire()
        for name, process in processes.items():
            resident = self._residents.get(name)
            if resident is None:
                self._residents[name] = self._resident(process)
            elif resident.process is not process:
                resident.replace(process)

    @property
    def fleet(self) -> Fleet:
        """The engines themselves; whoever asks one of them past here risks that it is moved."""
        return self._fleet

    @property
    def sleeps(self) -> bool:
        """Whether engines of this node can sleep at all."""
        return self._fleet.on_gpu

    async def load(self, engine: str) -> LoadSignal | None:
        """What the engine says of its load; None where it is not this node's, or not up.

        Raises:
            EngineError: it does not answer.
        """
        resident = self._residents.get(engine)
        if resident is None or resident.tier is not Tier.AWAKE:
            return None
        return await self._fleet.load(engine)

    def tiers(self) -> Mapping[str, Tier]:
        """Where each engine is now."""
        elsewhere = {
            name: Tier.AWAKE
            for name in map(self.host, self._fleet.placements)
            if name not in self._residents
        }
        return {**elsewhere, **{name: r.tier for name, r in self._residents.items()}}

    def host(self, expert: str) -> str:
        """The engine that serves ``expert``; raises EngineUnavailable for one not in the fleet."""
        return host_of(self._fleet, expert)

    async def move(self, engine: str, tier: Tier) -> None:
        """Brings the engine to ``tier`` once it answers nothing; sleep is STOPPED without a GPU.

        Raises:
            EngineUnavailable: a step failed, or there is no free slot.
            EngineError: the engine is not ours to move.
        """
        resident = self._residents.get(engine)
        if resident is not None:
            await resident.move(tier)
        elif self.tiers().get(engine) is not tier:
            raise EngineError(
                engine, f"its engine cannot be moved to {tier.name}: it is not one of this node's"
            )

    def engine(self, expert: str) -> Engine:
        """The expert, to be asked; raises EngineUnavailable unless its engine is awake."""
        resident = self._residents.get(self.host(expert))
        if resident is None:
            return self._fleet.engine(expert)
        with resident.gate.passing(expert):
            self._awake(expert)
        return GatedEngine(expert, resident.gate, lambda: self._awake(expert))

    def _awake(self, expert: str) -> Engine:
        resident = self._residents.get(self.host(expert))
        if resident and resident.tier is not Tier.AWAKE:
            raise EngineUnavailable(
                expert, f"its engine is {resident.tier.name}; it must be moved to AWAKE first"
            )
        return self._fleet.engine(expert)

    def _resident(self, process: ManagedVllm) -> Resident:
        return Resident(
            process,
            on_gpu=self._fleet.on_gpu,
            admit=self._admit,
            start_timeout_s=self._start_timeout_s,
        )

    def _admit(self, resident: Resident) -> None:
        others = self._residents.values()
        up = [other.name for other in others if other.occupies and other is not resident]
        if self.slots is not None and len(up) >= self.slots:
            raise EngineUnavailable(
                resident.name,
                f"all {self.slots} engine slots of this node are taken, by "
                f"{', '.join(map(repr, up))}; move one down first, or raise COTERIE_ENGINE_SLOTS",
            )


def host_of(fleet: Fleet, expert: str) -> str:
    """The base expert whose engine serves ``expert``.

    Raises:
        EngineUnavailable: the expert is not in the fleet, or wrongly configured.
    """
    placement = fleet.placement(expert)
    return placement.process or placement.expert.host
