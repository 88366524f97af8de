"""The assembled service, as its entry points see it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coterie.db import Database
from coterie.types import Expert, Health, Skill
from orchestrator.access import Access
from orchestrator.descriptions import Descriptions
from orchestrator.graph import Coterie
from orchestrator.profiling import Profiling
from orchestrator.roster import Engines, Roster, Snapshot
from orchestrator.settings import Settings
from orchestrator.traces.writer import TraceWriter
from skills.experts import Registry
from skills.infer import SkillInference
from skills.store import ProfileStore

log = logging.getLogger(__name__)


class EngineFleet(Engines, Protocol):
    """The engines, and the care for the processes behind them."""

    async def sync(self, experts: Sequence[Expert]) -> None:
        """Starts, restarts and stops engines so that the enabled ``experts`` can be asked."""

    async def health(self) -> Mapping[str, Health]:
        """Each expert's health, within a bounded time."""

    async def probe(self, expert: Expert) -> Health:
        """Whether an expert that is not registered yet could be asked."""

    def describe(self) -> Sequence[object]:
        """The managed processes, as values to be shown."""


@dataclass(slots=True)
class Parts:
    """Everything an entry point needs; made by :func:`orchestrator.bootstrap.build`."""

    settings: Settings
    database: Database
    registry: Registry
    profiles: ProfileStore
    fleet: EngineFleet
    roster: Roster
    taxonomy: tuple[Skill, ...]
    inference: SkillInference
    coterie: Coterie
    traces: TraceWriter
    access: Access
    profiling: Profiling
    descriptions: Descriptions

    async def refresh(self) -> None:
        """Reads registry and profiles anew, and brings the engines in line."""
        experts = await self.registry.list()
        profiles, described = await self.profiles.profiles(), self.roster.snapshot.descriptions
        self.roster.snapshot = Snapshot.of(experts, profiles, described)
        await self.fleet.sync(experts)
        # Last: an encoder takes a while to load, and engines start meanwhile.
        described = await self.descriptions.of([e for e in experts if e.enabled])
        self.roster.snapshot = replace(self.roster.snapshot, descriptions=described)
        await self.roster.warm(self.coterie.services.policy)

    async def keep_fresh(self, every_s: float) -> None:
        """Refreshes for ever: another process may have changed the registry.

        While the database is away, the last snapshot serves on.
        """
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except Exception as error:
                log.warning("registry not refreshed, the last one read serves on: %r", error)
