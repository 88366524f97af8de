"""Runs one job to its end, from wherever it is::

    annotate ─> route ─┬─> sweep the pages ─> publish what is open ─> wait ─┐
                       └──────────── pages whose batches are closed <───────┘

Nothing but the database is truth: kill it anywhere, and another run goes on from what is stored.
Outages of the database and of the queue are waited out.  Pages with nothing left to wait for are
swept again; a batch that is open and neither waiting nor claimed is published again.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from coterie.errors import CoterieError, EngineUnavailable
from coterie.ports import Task
from coterie.types import Item
from evals.results import ItemResult
from orchestrator.failing import failure_of
from orchestrator.jobs.annotate import Annotator
from orchestrator.jobs.ground import Ground, Paying
from orchestrator.jobs.item_store import ROUTED
from orchestrator.jobs.job import Job, JobState
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.sweep import Sweeper, spent_of
from orchestrator.jobs.terms import Terms, experts_of, fix
from orchestrator.jobs.tracker import Tracker
from orchestrator.jobs.unserved import SILENT_S, unserved
from orchestrator.scheduling.patience import Patience
from orchestrator.scheduling.work import Depth

log = logging.getLogger(__name__)

GONE = (
    "it was {} since the job began: bring it back, and `coterie jobs resume` asks it what has no "
    "answer"
)
BATCHES = 100
"""Batches whose keys are read at a time to be published."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``page`` items are handled at a time; the open ones are counted every ``poll_s`` seconds,
    more seldom where that takes long (``share`` of the time at most); the owner says that it is
    alive every ``beat_s``; a lost batch is published again after ``republish_s`` at the earliest;
    who serves experts that nothing comes of is looked at every ``look_s``.
    """

    page: int = 256
    poll_s: float = 0.2
    most_s: float = 30.0
    share: float = 0.05
    beat_s: float = 1.0
    republish_s: float = 5.0
    look_s: float = 5.0


class Stopped(Exception):
    """The job was cancelled, or somebody else runs it now."""


class Runner:
    """Runs ``job``, which ``owner`` has taken; ``tell`` hears of its progress."""

    def __init__(
        self,
        ground: Ground,
        job: Job,
        owner: str,
        *,
        tell: Callable[[JobProgress], None] = lambda progress: None,
        pace: Pace | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._ground = ground
        self._job = job
        self._owner = owner
        self._tell = tell
        self._pace = pace or Pace()
        self._patiently = patience or Patience()
        self._tracker = Tracker(job.id, 0, ground.tally, ground.clock)
        self._stopped = False
        self._purse: Paying | None = None
        self._later: set[int] = set()  # pages with items that wait for money
        self._published: dict[str, float] = {}  # when, by batch
        self._depths: Mapping[str, Depth] = {}
        self._looked = float("-inf")
        self._at_work = ground.clock.monotonic()

    @property
    def progress(self) -> JobProgress:
        """How far it is."""
        return self._tracker.progress(str(JobState.RUNNING))

    async def run(self) -> JobState:
        """The state it ends in.  Cancelling the call leaves the job to be gone on with."""
        heart = asyncio.create_task(self._beat(), name=f"beat-{self._job.id}")
        try:
            state, error = await self._run()
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)
        await self._close_purse()
        await self._release(state, error)
        self._tell(self._tracker.progress(str(state), error))
        return state

    async def wind_up(self) -> None:
        """Gives the items of a job that is over the results that follow from what is stored.

        Nobody is asked; what cannot be settled stays as it is.
        """
        if self._job.fixed is None:
            return  # nobody was asked anything
        task, items, terms = await self._load()
        page, job, store = self._pace.page, self._job.id, self._ground.items
        sweeper = Sweeper(self._ground, self._job, terms, task, items, page, self._patiently)
        for number in await self._patiently(lambda: store.pages(job, page, ROUTED)):
            await sweeper.settle(number)
        self._purse = await self._patiently(partial(self._ground.purse, self._job))
        if self._purse:
            await self._recount()
            await self._close_purse()

    async def _run(self) -> tuple[JobState, str | None]:
        try:
            await self._stages()
        except Stopped:
            await self._withdraw()
            return JobState.CANCELLED, None
        except CoterieError as error:
            return JobState.FAILED, str(error)
        except Exception as error:  # whoever watches must not wait for ever
            # No traceback, no message: either might quote a question that is secret.
            log.error("job %s failed: %s", self._job.id, _place(error))
            return JobState.FAILED, f"internal error: {_place(error)}"
        return JobState.DONE, None

    async def _stages(self) -> None:
        self._purse = await self._patiently(partial(self._ground.purse, self._job))
        task, items, terms = await self._load()
        self._tracker.items = len(items)
        self._tracker.graded = getattr(task, "graded", True)  # requests of a stranger's are not
        self._tracker.resume(self._job.progress)
        with self._timed("annotate"):
            await self._annotate(terms, items)
        await self._recount()
        await self._answer(terms, task, items)

    async def _load(self) -> tuple[Task, Sequence[Item], Terms]:
        spec, ground = self._job.spec, self._ground
        task = await self._patiently(lambda: ground.load_task(spec))
        items = await asyncio.to_thread(task.items, spec.split, spec.limit)
        return task, items, await self._terms(task)

    async def _terms(self, task: Task) -> Terms:
        """What was settled when the job began: now, if it begins now."""
        job, ground = self._job, self._ground
        fixed = job.fixed
        if fixed is None:
            knowledge = await self._patiently(lambda: ground.knowledge(None))
            settled = fix(job.spec, ground.known(), knowledge, ground.policy)
            fixed = await self._patiently(lambda: ground.jobs.settle(job.id, settled))
        knowledge = await self._patiently(lambda: ground.knowledge(fixed["snapshot"]))
        described = await ground.describe(experts_of(fixed))
        return await asyncio.to_thread(
            Terms.of, job.spec, fixed, knowledge, described, secret=task.secret
        )

    async def _annotate(self, terms: Terms, items: Sequence[Item]) -> None:
        def told(annotated: int, routed: int) -> None:
            self._tracker.annotated, self._tracker.routed = annotated, routed

        page = self._pace.page
        await Annotator(
            self._ground, self._job, terms, items, page, self._patiently, self._check, told
        ).run()

    async def _recount(self) -> None:
        """Counts what earlier runs have finished."""
        after = -1
        while found := await self._results_after(after):
            self._tracker.finish(found.values())
            if self._purse:
                self._purse.count(spent_of(found.values()), ())
            after = max(found)

    async def _results_after(self, after: int) -> dict[int, ItemResult]:
        return await self._patiently(lambda: self._ground.items.results(self._job.id, after))

    # --- asking ---------------------------------------------------------------------------------

    async def _answer(self, terms: Terms, task: Task, items: Sequence[Item]) -> None:
        page, job, store = self._pace.page, self._job.id, self._ground.items
        sweeper = Sweeper(
            self._ground, self._job, terms, task, items, page, self._patiently, self._purse
        )
        ready: Iterable[int] = await self._patiently(lambda: store.pages(job, page, ROUTED))
        while True:
            with self._timed("aggregate"):
                for number in ready:
                    self._check()
                    terms.check(self._ground.known())
                    await self._sweep(sweeper, number)
            if not self._tracker.waiting:
                if not self._later:
                    return
                ready = sorted(self._later)  # nothing is held any more: they are let in, or never
                continue
            with self._timed("generate"):
                await self._fail_gone(terms)
                await self._publish(terms)
                ready = sorted({*await self._wait(terms), *self._later})

    async def _sweep(self, sweeper: Sweeper, number: int) -> None:
        swept = await sweeper.sweep(number)
        self._tracker.finish(swept.results.values())
        self._tracker.swept(number, swept.heard, swept.failed)
        self._tracker.waiting |= swept.waiting
        (self._later.add if swept.later else self._later.discard)(number)

    async def _fail_gone(self, terms: Terms) -> None:
        """Fails what experts were to answer that nobody can ask any more: others follow them."""
        for expert, what in terms.gone(self._ground.known()).items():
            waiting = self._tracker.waiting.items()
            if ids := [id for id, batch in waiting if batch.open and batch.by[0] == expert]:
                log.warning("job %s: expert %r was %s; others follow", self._job.id, expert, what)
                failure = failure_of(EngineUnavailable(expert, GONE.format(what)))
                await self._patiently(partial(self._ground.units.give_up, ids, failure))

    async def _publish(self, terms: Terms) -> None:
        """Publishes what was not yet, expert after expert."""
        waiting, gone = self._tracker.waiting, terms.gone(self._ground.known())
        new = [id for id in waiting if id not in self._published and waiting[id].by[0] not in gone]
        await self._put(sorted(new, key=lambda id: waiting[id].by))

    async def _put(self, ids: Sequence[str]) -> None:
        for at in range(0, len(ids), BATCHES):
            part = ids[at : at + BATCHES]
            found = await self._patiently(partial(self._ground.units.batches, part))
            batches = [replace(batch, lane=self._job.id) for batch in found]
            await self._patiently(partial(self._ground.queue.publish, batches))
            now = self._ground.clock.monotonic()
            self._published |= dict.fromkeys(part, now)

    async def _wait(self, terms: Terms) -> Sequence[int]:
        """Returns pages that can go on, once there are some."""
        while True:
            await self._fail_gone(terms)
            cost_s = await self._poll()
            if closed := self._tracker.closed():
                self._forget()
                return sorted(closed)
            await self._republish()
            await self._look_for_workers()
            pace = self._pace
            await asyncio.sleep(min(max(pace.poll_s, cost_s / pace.share), pace.most_s))
            self._check()

    async def _poll(self) -> float:
        """Looks at queue and units; returns how long that took, in seconds."""
        clock = self._ground.clock
        began = clock.monotonic()
        # First the queue: a batch that is done in between is then counted in it, not missed.
        self._depths = await self._patiently(self._ground.queue.depths)
        ids = self._tracker.open()
        self._tracker.polled(await self._patiently(lambda: self._ground.units.left(ids)))
        return clock.monotonic() - began

    async def _republish(self) -> None:
        """Publishes again where the queue holds fewer batches of an expert than are open."""
        now, late = self._ground.clock.monotonic(), self._pace.republish_s
        open_ones = defaultdict(list)
        for id, batch in self._tracker.waiting.items():
            if batch.open:
                open_ones[batch.by[0]].append(id)
        lost = [
            id
            for expert, ids in open_ones.items()
            if _in_queue(self._depths.get(expert)) < len(ids)
            for id in ids
            if now - self._published.get(id, now) >= late
        ]
        await self._put(lost)

    async def _look_for_workers(self) -> None:
        """Finds out whose work nobody does, now and then, where nothing has come of it lately."""
        idle_s, now = self._tracker.idle_s(), self._ground.clock.monotonic()
        if max(idle_s.values(), default=0.0) < SILENT_S:
            self._tracker.unserved, self._at_work = {}, now
        elif now - self._looked >= self._pace.look_s:
            self._looked = now
            workers = await self._patiently(self._ground.queue.workers)
            if any(worker.busy for worker in workers):
                self._at_work = now
            self._tracker.unserved = unserved(idle_s, workers, now - self._at_work)

    def _forget(self) -> None:
        waiting = self._tracker.waiting
        self._published = {id: at for id, at in self._published.items() if id in waiting}

    # --- keeping the job ------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Says that the owner is alive, and hears whether the job was cancelled."""
        while True:
            progress = self.progress
            self._tell(progress)
            beat = partial(self._ground.jobs.beat, self._job.id, self._owner, progress)
            state = await self._patiently(beat)
            if state is not JobState.RUNNING:
                self._stopped = True
            await asyncio.sleep(self._pace.beat_s)

    def _check(self) -> None:
        if self._stopped:
            raise Stopped

    async def _close_purse(self) -> None:
        """What unfinished items have heard was paid for too."""
        if purse := self._purse:
            await self._patiently(lambda: purse.close(self._tracker.spent))

    async def _withdraw(self) -> None:
        """Takes back what nobody has begun: it would be paid for nobody."""
        ids = list(self._tracker.waiting)
        await self._patiently(lambda: self._ground.units.withdraw(ids))

    async def _release(self, state: JobState, error: str | None) -> None:
        progress, jobs = self._tracker.progress(str(state), error), self._ground.jobs
        await self._patiently(
            lambda: jobs.release(self._job.id, self._owner, state, progress, error)
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        clock = self._ground.clock
        began = clock.monotonic()
        try:
            yield
        finally:
            self._tracker.seconds[stage] += clock.monotonic() - began


def _in_queue(depth: Depth | None) -> int:
    return depth.waiting + depth.claimed if depth else 0


def _place(error: BaseException) -> str:
    """What kind of error, and where in the code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
