"""The engines of the service's own process, as the settings want them: all up, or some at a time.

COTERIE_ENGINE_SLOTS   unset    every managed engine is up, always
                       n        n at a time: whatever is asked comes up in its turn
                       0        none: workers serve jobs, on other machines or beside it
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from coterie.clock import SystemClock
from coterie.ports import Engine
from coterie.types import Expert
from orchestrator.engines.at_need import EnginesAtNeed
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.http import HttpLimits, create_client
from orchestrator.engines.machine_report import read_machine
from orchestrator.engines.managed import ManagedSettings
from orchestrator.engines.node import open_node
from orchestrator.engines.retry import RetryPolicy
from orchestrator.parts import EngineFleet
from orchestrator.roster import Roster
from orchestrator.scheduling.learned import Learned
from orchestrator.scheduling.lobby import Lobby
from orchestrator.scheduling.planned import Planned
from orchestrator.settings import Settings
from orchestrator.workers.embedded import ROOM, kept_up
from orchestrator.workers.worker import Node, no_signal


@dataclass(frozen=True, slots=True)
class ServiceEngines:
    """``fleet`` hands them out; ``patient`` does so for work that can wait for an engine's turn,
    None where all are up; ``node`` and ``planner`` are for the worker of this process.

    With ``at_need`` nothing comes up, and nobody is answered, before that worker runs.
    """

    fleet: EngineFleet
    node: Callable[[Roster, Callable[[str, float], None]], tuple[Node, Planned]]
    patient: Callable[[str], Engine] | None = None

    @property
    def at_need(self) -> bool:
        return self.patient is not None


async def open_engines(settings: Settings, stack: AsyncExitStack) -> ServiceEngines:
    """The engines that the settings describe; they end with the ``stack``."""
    if settings.engine_slots is not None:
        return await _at_need(settings, stack)
    limits = HttpLimits(read_timeout_s=settings.request_timeout_s)
    client = await stack.enter_async_context(create_client(limits))
    outside = await stack.enter_async_context(create_client(limits, settings.networks))
    managed = ManagedSettings(
        home=settings.home,
        python=str(settings.vllm_python or sys.executable),
        environ=settings.environ,
    )
    fleet = Fleet(
        client,
        managed,
        clock=SystemClock(),
        rng=random.Random(),
        retry=RetryPolicy.within(settings.request_timeout_s),
        outside=outside,
    )
    return all_up(await stack.enter_async_context(fleet))


def all_up(fleet: EngineFleet) -> ServiceEngines:
    """Engines that somebody keeps up."""
    signal = fleet.load if isinstance(fleet, Fleet) else no_signal

    def node(roster: Roster, loaded: Callable[[str, float], None]) -> tuple[Node, Planned]:
        return kept_up(roster, lambda: _known(roster), loaded, signal), Planned.of_slots(ROOM)

    return ServiceEngines(fleet, node)


async def _at_need(settings: Settings, stack: AsyncExitStack) -> ServiceEngines:
    residency = await stack.enter_async_context(open_node(settings))
    lobby = Lobby(most_s=settings.start_timeout_s)
    engines = EnginesAtNeed(residency, lobby)
    slots, bound_s = settings.engine_slots or 0, settings.online_wait_s

    def node(roster: Roster, loaded: Callable[[str, float], None]) -> tuple[Node, Planned]:
        learned = Learned(residency.sleeps, loaded)
        planner = Planned.of_slots(slots, learned.figures, sleeps=residency.sleeps, bound_s=bound_s)
        return Node(
            residency,
            lambda: [expert.name for expert in roster.enabled],
            residency.load,
            learned.loaded,
            lobby,
            slots,
            read_machine,
        ), planner

    return ServiceEngines(engines, node, engines.patient)


def _known(roster: Roster) -> Sequence[Expert]:
    return tuple(roster.snapshot.experts.values())
