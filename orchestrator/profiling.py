"""Profiling runs inside the service: one at a time, watched from outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from coterie.errors import CoterieError, RequestError
from coterie.ports import Task
from orchestrator.roster import Roster
from skills.infer import SkillInference
from skills.profiler import AnswerStore, Profiler, Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfilingState:
    """How the current (or last) run stands; ``status`` is idle, running, done or failed."""

    status: str = "idle"
    task: str = ""
    experts: tuple[str, ...] = ()
    progress: tuple[Progress, ...] = ()
    error: str | None = None


@dataclass(slots=True)
class Profiling:
    """Starts profiling runs; ``after`` is awaited when one has stored new profiles."""

    roster: Roster
    inference: SkillInference
    store: AnswerStore
    after: Callable[[], Awaitable[None]]
    state: ProfilingState = field(default_factory=ProfilingState)
    _running: asyncio.Task[None] | None = None

    def start(self, task: Task, experts: Sequence[str], limit: int | None = None) -> None:
        """Begins a run over the task's ``val`` split; refused while another is running."""
        if self._running and not self._running.done():
            raise RequestError(
                f"profiling on {self.state.task!r} is running already: wait until it is done"
            )
        names = tuple(experts) or tuple(e.name for e in self.roster.enabled)
        for name in names:
            self.roster.expert(name)
        self.state = ProfilingState("running", task.name, names)
        self._running = asyncio.create_task(self._run(task, names, limit), name="profiling")

    async def aclose(self) -> None:
        """Stops a run; the answers it has stored are kept."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, task: Task, names: tuple[str, ...], limit: int | None) -> None:
        try:
            engines = {name: self.roster.engine(name) for name in names}
            profiler = Profiler(task, self.inference, self.store)
            await profiler.run(engines, task.items("val", limit), self._report)
            await self.after()
            self.state = replace(self.state, status="done")
        except CoterieError as error:
            self.state = replace(self.state, status="failed", error=str(error))
        except Exception as error:  # the caller polls the state: it must not wait for ever
            log.exception("profiling failed")
            self.state = replace(self.state, status="failed", error=f"internal error: {error!r}")

    def _report(self, progress: Progress) -> None:
        others = tuple(p for p in self.state.progress if p.expert != progress.expert)
        self.state = replace(self.state, progress=(*others, progress))
