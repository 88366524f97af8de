"""The jobs of one process: taken on, run a few side by side, watched from outside.

The command line, REST and OpenAI's Batch API all go through here.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from coterie.db import utcnow
from coterie.errors import JobError, StoreUnavailable
from evals.results import ItemResult
from orchestrator.jobs.ground import Ground
from orchestrator.jobs.item_store import PARKED, Ending
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.life import Life
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.runner import Pace, Runner
from orchestrator.jobs.terms import fix
from orchestrator.jobs.unit_store import Kept
from orchestrator.scheduling.patience import Patience
from orchestrator.scheduling.work import Depth, WorkerState

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often a server looks for jobs that others have made, or left."""
GRACE_S = 2.0
SIDE_BY_SIDE = 4
"""Jobs that a server runs at a time."""

Tell = Callable[[JobProgress], None]


class JobService:
    """Takes jobs on and runs them; ``work`` does what is published, where nobody else does.

    Nothing runs before :meth:`start`, or :meth:`run`.  A server runs up to ``side_by_side`` jobs at
    a time: the queue serves them in turn.
    """

    def __init__(
        self,
        ground: Ground,
        work: Callable[[], Coroutine[Any, Any, None]] | None = None,
        *,
        pace: Pace | None = None,
        side_by_side: int = SIDE_BY_SIDE,
        life: Life | None = None,
    ) -> None:
        self.life = life or Life()
        self._side_by_side = side_by_side
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ground = ground
        self._work = work
        self._pace = pace
        self._live: dict[str, JobProgress] = {}
        self._wake = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._working: asyncio.Task[None] | None = None

    @property
    def _owner(self) -> str:
        return self.life.name

    # --- what callers ask for -------------------------------------------------------------------

    async def submit(self, spec: JobSpec, *, id: str | None = None, key: str = "") -> Job:
        """A new job of the caller of id ``key``, queued; raises an error that says what is wrong
        with the spec.

        Where a job called ``id`` is kept already, it is that one.
        """
        return await self._add(spec, None, id, key)

    async def get(self, id: str) -> Job:
        """The job called ``id``, as far as it is; raises :class:`UnknownJob`."""
        return self._up_to_date(await self._ground.jobs.get(id))

    async def lines(
        self, limit: int, skip: int = 0, keys: Collection[str] | None = None
    ) -> list[Job]:
        """As :meth:`list`, but for the first ``skip``, and without what was settled for each."""
        return [self._up_to_date(job) for job in await self._ground.jobs.lines(limit, skip, keys)]

    async def list(self, limit: int = 100, keys: Collection[str] | None = None) -> list[Job]:
        """The newest jobs, newest first; those made with one of ``keys`` alone."""
        return [self._up_to_date(job) for job in await self._ground.jobs.newest(limit, keys)]

    async def cancel(self, id: str) -> Job:
        """Stops a job; raises :class:`JobError` for one that is over."""
        return self._up_to_date(await self._ground.jobs.cancel(id))

    async def resume(self, id: str) -> Job:
        """Queues a job that is over: it goes on, and tries again what was parked.

        Raises :class:`JobError` for one that is not over, or is done without anything parked.
        """
        queued = await self._ground.jobs.resume(id)
        self._wake.set()
        return self._up_to_date(queued)

    async def results(self, id: str, after: int = -1, limit: int = 500) -> dict[int, ItemResult]:
        """The results after position ``after``, by position; raises :class:`UnknownJob`."""
        await self._ground.jobs.get(id)
        return await self._ground.items.results(id, after, limit)

    async def parked(self, id: str, after: int = -1, limit: int = 50) -> dict[int, ItemResult]:
        """The items after position ``after`` that have no answer, by position."""
        return await self._ground.items.results(id, after, limit, stages=[PARKED])

    async def wind_up(self, id: str) -> None:
        """Gives the items of a job that is over the results that follow from what is stored."""
        await Runner(self._ground, await self._ground.jobs.get(id), self._owner).wind_up()

    async def endings(self, id: str, start: int, stop: int) -> dict[int, Ending]:
        """How the items ended that are at positions from ``start`` to before ``stop``."""
        return await self._ground.items.endings(id, start, stop)

    async def completions(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """What is kept of the completions that endings name."""
        return await self._ground.units.replies(keys, utcnow())

    async def watch(self, id: str, *, every_s: float = 0.5) -> AsyncGenerator[JobProgress, None]:
        """How the job stands, every ``every_s`` seconds; ends with the job."""
        while True:
            with suppress(StoreUnavailable):  # whoever watches waits, as the job does
                job = await self.get(id)
                yield job.progress or JobProgress(id, str(job.state))
                if job.state.is_over:
                    return
            await asyncio.sleep(every_s)

    async def depths(self) -> Mapping[str, Depth]:
        """How much work waits for each expert; raises :class:`QueueUnavailable`."""
        return await self._ground.queue.depths()

    async def workers(self) -> Sequence[WorkerState]:
        """The live workers; raises :class:`QueueUnavailable`."""
        return await self._ground.queue.workers()

    # --- running --------------------------------------------------------------------------------

    async def run(self, spec: JobSpec, tell: Tell = lambda progress: None) -> Job:
        """Runs the spec here, to its end; an equal job that is unfinished goes on.

        Raises :class:`JobError` if another process runs that one.  To cancel the call is to cancel
        the job.
        """
        job = await self._ground.jobs.unfinished(spec)
        if job is None:
            job = await self._add(spec, self._owner)
        elif not await self._take_over(job):
            raise JobError(
                f"job {job.id!r} of the same spec runs already: `coterie jobs show {job.id}`"
            )
        self._start_work()
        try:
            await self._run(job.id, tell)
        except asyncio.CancelledError:
            with suppress(TimeoutError, StoreUnavailable, JobError):
                async with asyncio.timeout(GRACE_S):
                    await self._ground.jobs.cancel(job.id)
            raise
        return await self.get(job.id)

    def start(self) -> None:
        """Begins to run queued and unfinished jobs, the oldest first, and does not end."""
        self._start_work()
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve(), name="jobs")

    async def aclose(self) -> None:
        """Stops; jobs that run are left to be gone on with."""
        await _ended(self._serving)
        await _ended(*self._running.values())
        await _ended(self._working)
        self.life.end()

    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            try:
                while len(self._running) < self._side_by_side and (job := await self._next()):
                    self._begin(job.id)
            except StoreUnavailable as error:
                log.warning("no jobs are looked for: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)

    def _begin(self, id: str) -> None:
        """Runs a job that was taken beside the others."""
        self._running[id] = asyncio.create_task(self._run_beside(id), name=f"run {id}")
        self._running[id].add_done_callback(lambda _: self._over(id))

    def _over(self, id: str) -> None:
        del self._running[id]
        self._wake.set()

    async def _run_beside(self, id: str) -> None:
        try:
            await self._run(id, lambda progress: None)
        except StoreUnavailable as error:
            log.warning("job %s is left for later: %s", id, error)
        except Exception as error:  # the others are not to suffer from it
            log.error("job %s is left for later: %s", id, type(error).__name__)

    async def _next(self) -> Job | None:
        """The next job, taken."""
        for job in await self._ground.jobs.going():
            if job.owner and self.life.is_over(job.owner):
                await self._ground.jobs.give_up(job.id, job.owner)
        # One that runs here is not taken up again, though its beat be late.
        found = await self._ground.jobs.next(without=self._running)
        return found if found and await self._ground.jobs.take(found.id, self._owner) else None

    async def _run(self, id: str, tell: Tell) -> JobState:
        """Runs a job that was taken."""

        def told(progress: JobProgress) -> None:
            self._live[id] = progress
            tell(progress)

        job = await self._ground.jobs.get(id)
        runner = Runner(self._ground, job, self._owner, tell=told, pace=self._pace)
        try:
            return await runner.run()
        except asyncio.CancelledError:
            with suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout(GRACE_S):
                    await self._ground.jobs.give_up(id, self._owner)
            raise
        finally:
            self._live.pop(id, None)

    def _start_work(self) -> None:
        if self._work and self._working is None:
            self._working = asyncio.create_task(self._work(), name="job-work")

    async def _add(
        self, spec: JobSpec, owner: str | None, id: str | None = None, key: str = ""
    ) -> Job:
        await self._ground.load_task(spec)  # told now, not when its turn comes
        knowledge = await Patience()(lambda: self._ground.knowledge(None))
        fix(spec, self._ground.known(), knowledge, self._ground.policy)
        now = utcnow()
        state = JobState.RUNNING if owner else JobState.QUEUED
        job = Job(id or f"job-{uuid.uuid4().hex[:12]}", spec, state, now, now, owner=owner, key=key)
        await self._ground.jobs.add(job)
        self._wake.set()
        return await self._ground.jobs.get(job.id) if id else job

    async def _take_over(self, job: Job) -> bool:
        if job.state.is_over:
            await self._ground.jobs.resume(job.id)
        gone = job.owner if job.owner and self.life.is_over(job.owner) else None
        return await self._ground.jobs.take(job.id, self._owner, instead_of=gone)

    def _up_to_date(self, job: Job) -> Job:
        live = self._live.get(job.id)
        found = live or job.progress or JobProgress(job.id, str(job.state))
        return replace(job, progress=replace(found, state=str(job.state), error=job.error))


async def _ended(*tasks: asyncio.Task[None] | None) -> None:
    """Cancels them, and returns when they have ended."""
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)
