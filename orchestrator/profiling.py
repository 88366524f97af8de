"""Profiling runs inside the service: one at a time, watched from outside."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aggregator.extract import choices_of, read_answer
from aggregator.synthesize import Writing, merging_question
from coterie.errors import CoterieError, RequestError
from coterie.ports import Engine, Task
from coterie.types import Completion, Question, Reading, Sampling
from orchestrator.bench import TrialPlan, planned_trials
from orchestrator.engines.admission import patiently
from orchestrator.roster import Roster
from orchestrator.writers import room_of
from skills.aggregation_profiler import AggregationProfiler
from skills.answer_store import AnswerStore
from skills.archive import Archive
from skills.profiler import Extraction, Profiler, Progress, Reader

log = logging.getLogger(__name__)

AT_ONCE = 32
EVERYTHING = 1_000_000


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
    """Which experts are graded on what: all recruited ones where none is named, on the first
    ``limit`` questions of ``split``; ``name`` is what the snapshot will be called.

    With ``aggregation`` they are graded at making one answer of many instead: on trials made of the
    stored answers to those questions, ``limit`` trials at most, drawn by ``seed``, about ``skills``
    alone where some are named.
    """

    task: Task
    experts: tuple[str, ...] = ()
    split: str = "val"
    limit: int | None = None
    name: str | None = None
    aggregation: bool = False
    seed: int = 0
    skills: tuple[str, ...] = ()

    @property
    def trials(self) -> TrialPlan:
        """The trials of aggregation that are meant."""
        return TrialPlan(self.task, self.split, self.limit, self.seed, self.skills)


@dataclass(slots=True)
class Profiling:
    """Starts profiling runs; ``after`` is awaited when one has made a new snapshot.

    ``patient`` gives engines that take turns, where not all can be up at a time.
    """

    roster: Roster
    reader: Reader
    store: AnswerStore
    archive: Archive
    after: Callable[[], Awaitable[None]]
    patient: Callable[[str], Engine] | None = None
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
        names = plan.experts or tuple(e.name for e in self.roster.recruited)
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
            engine = self.patient or self.roster.engine
            engines = {name: engine(name) for name in names}
            grade = self._grade_aggregation if plan.aggregation else self._grade_answers
            with patiently():  # whoever chats goes first
                await grade(plan, engines)
            what = "aggregating" if plan.aggregation else "profiled on"
            note = f"{what} {plan.task.name} {plan.split}: {', '.join(names)}"
            made = await self.archive.make(plan.name, note=note)
            await self.after()
            self.state = replace(self.state, status="done", snapshot=made.name)
        except CoterieError as error:
            self.state = replace(self.state, status="failed", error=str(error))
        except Exception as error:  # the caller polls the state: it must not wait for ever
            log.exception("profiling failed")
            self.state = replace(self.state, status="failed", error=f"internal error: {error!r}")

    async def _grade_answers(self, plan: ProfilingPlan, engines: Mapping[str, Engine]) -> None:
        items = await asyncio.to_thread(plan.task.items, plan.split, plan.limit)
        profiler = Profiler(
            plan.task,
            self.reader,
            self.store,
            extraction=EXTRACTION,
            concurrency=self._at_once,
            rooms=self._rooms(engines),
        )
        await profiler.run(engines, items, self._report)

    async def _grade_aggregation(self, plan: ProfilingPlan, engines: Mapping[str, Engine]) -> None:
        trials = await planned_trials(self.store, plan.trials)
        profiler = AggregationProfiler(
            plan.task.name,
            self._merging,
            plan.task.grade,
            self.store,
            concurrency=self._at_once,
            rooms=self._rooms(engines),
        )
        await profiler.run(engines, trials, self._report)

    def _merging(
        self, expert: str, question: Question, completions: Sequence[Completion]
    ) -> Question:
        """What the expert is asked in a trial: as live, but that nobody's reliability is told, so
        that a trial stays the same when profiles change."""
        room = room_of(self.roster.expert(expert), Sampling(), completions)
        return merging_question(question, completions, writing=Writing(room))

    @property
    def _at_once(self) -> int:
        """Questions one expert is given at a time; an engine that takes turns must see all there is
        to do, or its turn is over too soon."""
        return AT_ONCE if self.patient is None else EVERYTHING

    def _rooms(self, names: Iterable[str]) -> dict[str, asyncio.Semaphore]:
        """Where all engines are up: one room for each, which its experts share.

        More at a time are answered no sooner, and where the engine is slow the last ones so late
        that they count as not answered.
        """
        if self.patient:
            return {}
        rooms = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(AT_ONCE))
        return {name: rooms[self.roster.expert(name).host] for name in names}

    def _report(self, progress: Progress) -> None:
        others = tuple(p for p in self.state.progress if p.expert != progress.expert)
        self.state = replace(self.state, progress=(*others, progress))


def _reading(question: str, output: str) -> Reading:
    return read_answer(question, output)[1]


EXTRACTION = Extraction(choices_of, _reading)
"""Answers to profiling questions are read as the votes will read those to live ones."""
