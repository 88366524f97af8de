"""When a failed call is made again: a pure policy, and the loop that follows it.

What may be retried is for the errors to say (``retryable``); how often and when is decided here.
A stream is only ever retried before its first chunk: callers pass an attempt that ends there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from coterie.errors import CircuitOpen, EngineError, EngineTimeout, EngineUnavailable
from coterie.ports import Clock

T = TypeVar("T")

_READ_TIMEOUTS_RETRIED = 1
"""A silent server may well be working on the first request still; asking twice doubles its load."""


_PAUSES_S = 10.0
"""What pauses between tries may add to a deadline."""


class ReadTimeout(EngineTimeout):
    """The server took the request and then said nothing for too long."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter, bounded in tries and in total time.

    ``max_tries`` counts the first one.  The wait before try n + 1 is drawn evenly from
    [0, min(``max_delay_s``, ``base_delay_s`` · 2^(n-1))], and comes on top of a server's
    Retry-After.  A server that asks for more than ``max_retry_after_s`` is given up at once: the
    caller learns of the wish from the error and may ask somebody else meanwhile.
    ``deadline_s`` bounds the whole call, all tries and waits together.
    """

    max_tries: int = 3
    base_delay_s: float = 0.25
    max_delay_s: float = 8.0
    max_retry_after_s: float = 10.0
    deadline_s: float = 900.0

    @classmethod
    def within(cls, silence_s: float) -> Self:
        """The policy where a server may be silent for ``silence_s``: it may be so once more."""
        return cls(deadline_s=2 * silence_s + min(_PAUSES_S, silence_s))

    def delay_s(
        self, failures: Sequence[EngineError], *, elapsed_s: float, rng: random.Random
    ) -> float | None:
        """Seconds to wait after ``failures`` (oldest first) before trying again; None: give up."""
        if not self._allows(failures):
            return None
        asked_s = _retry_after_s(failures[-1])
        if asked_s > self.max_retry_after_s:
            return None
        delay_s = asked_s + rng.uniform(0.0, self._ceiling_s(len(failures)))
        return delay_s if elapsed_s + delay_s < self.deadline_s else None

    def _allows(self, failures: Sequence[EngineError]) -> bool:
        silences = sum(isinstance(failure, ReadTimeout) for failure in failures)
        return (
            failures[-1].retryable
            and not isinstance(failures[-1], CircuitOpen)  # others are not kept waiting for it
            and len(failures) < self.max_tries
            and silences <= _READ_TIMEOUTS_RETRIED
        )

    def _ceiling_s(self, failed: int) -> float:
        doublings = min(failed - 1, 60)
        return min(self.max_delay_s, self.base_delay_s * 2.0**doublings)


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    *,
    expert: str,
    policy: RetryPolicy,
    clock: Clock,
    rng: random.Random,
) -> T:
    """The first success of ``attempt``.

    Raises:
        EngineError: the last failure, once the policy gives up.
        EngineTimeout: the policy's deadline has passed.
    """
    started_s = clock.monotonic()
    failures: list[EngineError] = []
    while True:
        remaining_s = policy.deadline_s - (clock.monotonic() - started_s)
        try:
            return await _within(remaining_s, attempt, expert)
        except EngineError as error:
            failures.append(error)
            elapsed_s = clock.monotonic() - started_s
            delay_s = policy.delay_s(failures, elapsed_s=elapsed_s, rng=rng)
            if delay_s is None:
                raise
        await asyncio.sleep(delay_s)


async def _within(seconds: float, attempt: Callable[[], Awaitable[T]], expert: str) -> T:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await attempt()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ReadTimeout(
            expert, "no answer before the call's deadline; ask for fewer tokens or raise it"
        ) from error


def _retry_after_s(error: EngineError) -> float:
    if isinstance(error, EngineUnavailable) and error.retry_after_s is not None:
        return max(0.0, error.retry_after_s)
    return 0.0
