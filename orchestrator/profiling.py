"""Profiling runs inside the service: one at a time, watched from outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from aggregator.extract import options_of, read_answer
from coterie.errors import CoterieError, RequestError
from coterie.ports import Task
from coterie.types import Reading
from orchestrator.roster import Roster
from skills.archive import Archive
from skills.profiler import AnswerStore, Extraction, Profiler, Progress, Reader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfilingState:
    """How the current (or last) run stands; ``status`` is idle, running, done or failed.

    ``snapshot`` is the one that the run has made.
    """

    status: str = "idle"
    task: str = ""
    experts: tuple[str, ...] = ()
    progress: tuple[Progress, ...] = ()
    error: str | None = None
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class ProfilingPlan:
    """Which experts are graded on what: all enabled ones where none is named, on the first
    ``limit`` questions of ``split``; ``name`` is what the snapshot will be called."""

    task: Task
    experts: tuple[str, ...] = ()
    split: str = "val"
    limit: int | None = None
    name: str | None = None


@dataclass(slots=True)
class Profiling:
    """Starts profiling runs; ``after`` is awaited when one has made a new snapshot."""

    roster: Roster
    reader: Reader
    store: AnswerStore
    archive: Archive
    after: Callable[[], Awaitable[None]]
    state: ProfilingState = field(default_factory=ProfilingState)
    _running: asyncio.Task[None] | None = None

    def start(self, plan: ProfilingPlan) -> None:
        """Begins a run; refused while another is running.

        Questions an expert has answered before are not put to it again: a run that was cut short
        is resumed by starting it again.
        """
        if self._running and not self._running.done():
            raise RequestError(
                f"profiling on {self.state.task!r} is running already: wait until it is done"
            )
        names = plan.experts or tuple(e.name for e in self.roster.enabled)
        for name in names:
            self.roster.expert(name)
        self.state = ProfilingState("running", plan.task.name, names)
        self._running = asyncio.create_task(self._run(plan, names), name="profiling")

    async def aclose(self) -> None:
        """Stops a run; the answers it has stored are kept."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, plan: ProfilingPlan, names: Sequence[str]) -> None:
        try:
            engines = {name: self.roster.engine(name) for name in names}
            items = await asyncio.to_thread(plan.task.items, plan.split, plan.limit)
            profiler = Profiler(plan.task, self.reader, self.store, extraction=EXTRACTION)
            await profiler.run(engines, items, self._report)
            note = f"profiled on {plan.task.name} {plan.split}: {', '.join(names)}"
            made = await self.archive.make(plan.name, note=note)
            await self.after()
            self.state = replace(self.state, status="done", snapshot=made.name)
        except CoterieError as error:
            self.state = replace(self.state, status="failed", error=str(error))
        except Exception as error:  # the caller polls the state: it must not wait for ever
            log.exception("profiling failed")
            self.state = replace(self.state, status="failed", error=f"internal error: {error!r}")

    def _report(self, progress: Progress) -> None:
        others = tuple(p for p in self.state.progress if p.expert != progress.expert)
        self.state = replace(self.state, progress=(*others, progress))


def _reading(question: str, output: str) -> Reading:
    return read_answer(question, output)[1]


EXTRACTION = Extraction(lambda question: len(options_of(question)), _reading)
"""Answers to profiling questions are read as the votes will read those to live ones."""
