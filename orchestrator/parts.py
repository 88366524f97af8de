"""The assembled service, as its entry points see it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from coterie.db import Database
from coterie.errors import SnapshotError
from coterie.types import Expert, Health, Skill
from orchestrator.access import Access
from orchestrator.batches.service import BatchService
from orchestrator.descriptions import Descriptions
from orchestrator.draining import Draining
from orchestrator.embedding import BuiltIn
from orchestrator.erasure import Erasure
from orchestrator.feedback import FeedbackService
from orchestrator.graph import Coterie
from orchestrator.jobs.service import JobService
from orchestrator.keys.audit import AuditLog
from orchestrator.keys.ledger_store import LedgerStore
from orchestrator.keys.meter import Meter
from orchestrator.keys.ring import KeyRing
from orchestrator.observability.observer import Observer
from orchestrator.profiling import Profiling
from orchestrator.roster import Engines, Roster, Snapshot
from orchestrator.scheduling.workforce import Workforce
from orchestrator.settings import Settings
from orchestrator.traces.record_store import RecordStore
from orchestrator.traces.traffic_store import TrafficStore
from orchestrator.traces.writer import TraceWriter
from skills.archive import Archive
from skills.experts import Registry
from skills.infer import KeywordInference, SkillInference
from skills.knowledge import Knowledge
from skills.synonym_store import SynonymStore

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
    archive: Archive
    synonyms: SynonymStore
    fleet: EngineFleet
    roster: Roster
    taxonomy: tuple[Skill, ...]
    inference: SkillInference
    coterie: Coterie
    traces: TraceWriter
    records: RecordStore
    traffic: TrafficStore
    feedback: FeedbackService
    erasure: Erasure
    access: Access
    keys: KeyRing
    audit: AuditLog
    meter: Meter
    ledger: LedgerStore
    profiling: Profiling
    descriptions: Descriptions
    embedder: BuiltIn | None
    jobs: JobService
    batches: BatchService
    workforce: Workforce
    observer: Observer
    draining: Draining = field(init=False, repr=False)
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def __post_init__(self) -> None:
        self.draining = Draining(self.roster.gate, self.refresh)

    async def refresh(self, *, at_once: Collection[str] = ()) -> None:
        """Reads the registry anew, and the active snapshot if another one is active now.

        Experts that were disabled since are let end what they are answering, but those in
        ``at_once``.
        """
        async with self._refreshing:  # what was read first must not be kept last
            experts = await self.registry.list()
            self.draining.see(self.roster.snapshot.experts, experts, at_once)
            described = self.roster.snapshot.descriptions
            self.roster.snapshot = Snapshot.of(experts, await self._knowledge(), described)
            await self.fleet.sync(self.draining.kept(experts))
            # Last: an encoder takes a while to load, and engines start meanwhile.
            described = await self.descriptions.of([e for e in experts if e.recruited])
            self.roster.snapshot = replace(self.roster.snapshot, descriptions=described)
        await self.read_synonyms()
        restricted = [key.experts for key in self.keys.list() if key.experts]
        await self.roster.warm(self.coterie.services.policy, restricted)

    async def read_synonyms(self) -> None:
        """Lets keyword inference read keywords as they are merged now."""
        if isinstance(self.inference, KeywordInference):
            self.inference.synonyms = await self.synonyms.synonyms()

    async def knowledge(self) -> Knowledge:
        """The active snapshot, which routing uses from now on if it did not yet."""
        async with self._refreshing:
            found = await self._knowledge()
            self.roster.snapshot = replace(self.roster.snapshot, knowledge=found)
        return found

    async def forget(self, experts: Collection[str]) -> None:
        """Makes a snapshot without ``experts``, which were removed, where the active one has them.

        Another expert of the same name must not be taken for one of them.
        """
        known = (await self.knowledge()).profiles if experts else {}
        if gone := sorted(name for name in experts if name in known):
            await self.archive.make(note=f"removed: {', '.join(gone)}")
            await self.knowledge()

    async def _knowledge(self) -> Knowledge:
        known = self.roster.snapshot.knowledge
        try:
            return await self.archive.current(known)
        except SnapshotError as error:
            log.error("%s; until then, what was known before serves on", error)
            return known

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
