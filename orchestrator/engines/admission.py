"""How many calls of one expert go on at a time: a bounded queue with a deadline before it.

    call ──room──> inside (at most ``concurrency``)
      └──none──> waiting (at most ``queue``, each ``queue_s`` at most) ──> inside
                    └──full, or too late──> ExpertBusy, and when to come again

Work that nobody waits for (a job's) stands behind everybody else, as long as it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

from coterie.errors import ExpertBusy
from coterie.ports import Clock
from coterie.types import Limits

_PATIENT: ContextVar[bool] = ContextVar("patient", default=False)
_WEIGHT = 0.2
"""How much the last call counts in how long calls take."""
_LEAST_S, _MOST_S = 1.0, 60.0
"""Bounds of when a caller is told to come again."""


@contextlib.contextmanager
def patiently() -> Iterator[None]:
    """Calls made inside wait behind all others, however long it takes."""
    token = _PATIENT.set(True)
    try:
        yield
    finally:
        _PATIENT.reset(token)


class Admission:
    """Lets calls of ``expert`` in.  Not for threads.  ``limits`` may be changed at any time."""

    def __init__(self, expert: str, clock: Clock, limits: Limits | None = None) -> None:
        self.limits = limits
        self.inside = 0
        self._expert = expert
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._behind: deque[asyncio.Future[None]] = deque()
        self._takes_s = _LEAST_S

    @property
    def queued(self) -> int:
        """How many calls wait whose callers do too."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether a caller would be sent away now."""
        limits = self.limits
        return bool(limits) and not self._has_room and self.queued >= limits.queue  # type: ignore[union-attr]

    def busy(self, why: str = "as many calls wait for it as may") -> ExpertBusy:
        """What a caller that is sent away is told."""
        limits = self.limits or Limits(1)
        wait_s = self._takes_s * (self.queued + 1) / limits.concurrency
        told = f"it is busy: {why} ({limits.concurrency} at a time, {limits.queue} in the queue)"
        return ExpertBusy(
            self._expert,
            f"{told}; come again later, or ask another expert",
            retry_after_s=min(max(wait_s, _LEAST_S), _MOST_S),
        )

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """One call.

        Raises:
            ExpertBusy: the queue is full, or its turn did not come in time.
        """
        if self.limits is None or self._has_room:
            self.inside += 1
        else:
            await self._turn(self.limits)
        began_s = self._clock.monotonic()
        try:
            yield
        finally:
            self.inside -= 1
            self._takes_s += _WEIGHT * (self._clock.monotonic() - began_s - self._takes_s)
            self._let_in()

    @property
    def _has_room(self) -> bool:
        return self.limits is None or self.inside < self.limits.concurrency

    async def _turn(self, limits: Limits) -> None:
        """Returns when one that leaves has made room for this one, which is inside then."""
        patient = _PATIENT.get()
        if not patient and self.is_full:
            raise self.busy()
        queue = self._behind if patient else self._waiting
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        limit = asyncio.timeout(None if patient else limits.queue_s)
        try:
            async with limit:
                await turn
        except TimeoutError:
            self._forget(turn, queue)
            if not limit.expired():
                raise
            raise self.busy(f"its turn did not come within {limits.queue_s:g} s") from None
        except BaseException:
            self._forget(turn, queue)
            raise

    def _forget(self, turn: asyncio.Future[None], queue: deque[asyncio.Future[None]]) -> None:
        """Takes a call off that does not wait any more, perhaps just as its turn came."""
        if turn.done() and not turn.cancelled():
            self.inside -= 1
            self._let_in()
        else:
            with contextlib.suppress(ValueError):
                queue.remove(turn)

    def _let_in(self) -> None:
        for queue in (self._waiting, self._behind):
            while queue and self._has_room:
                turn = queue.popleft()
                if not turn.done():
                    self.inside += 1
                    turn.set_result(None)
