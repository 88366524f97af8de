"""When a failed call is made again."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import (
    EngineError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from orchestrator.engines.retry import ReadTimeout, RetryPolicy, with_retries
from tests.orchestrator.engines.engine_clocks import SystemClock

waits = st.none() | st.floats(-1, 100)
retryable = st.one_of(
    waits.map(lambda wait: EngineUnavailable("x", "busy", retry_after_s=wait)),
    st.builds(EngineTimeout, st.just("x"), st.just("no connection")),
    st.builds(ReadTimeout, st.just("x"), st.just("silence")),
)
final = st.one_of(
    st.builds(EngineRejected, st.just("x"), st.just("no")),
    st.builds(EngineProtocolError, st.just("x"), st.just("garbage")),
)
histories = st.lists(retryable, max_size=8)
policies = st.builds(
    RetryPolicy,
    max_tries=st.integers(1, 10),
    base_delay_s=st.floats(0.001, 5),
    max_delay_s=st.floats(0.001, 60),
    max_retry_after_s=st.floats(0, 60),
    deadline_s=st.floats(0.1, 1000),
)
rngs = st.integers().map(random.Random)
elapsed = st.floats(0, 2000)


@given(policies, histories, final, elapsed, rngs)
def test_what_cannot_be_retried_never_is(
    policy: RetryPolicy,
    before: list[EngineError],
    last: EngineError,
    elapsed_s: float,
    rng: random.Random,
) -> None:
    assert policy.delay_s([*before, last], elapsed_s=elapsed_s, rng=rng) is None


@given(policies, histories, retryable, elapsed, rngs)
def test_a_wait_keeps_every_bound(
    policy: RetryPolicy,
    before: list[EngineError],
    last: EngineError,
    elapsed_s: float,
    rng: random.Random,
) -> None:
    failures = [*before, last]
    delay_s = policy.delay_s(failures, elapsed_s=elapsed_s, rng=rng)
    if delay_s is None:
        return
    asked_s = max(0.0, getattr(last, "retry_after_s", None) or 0.0)
    assert asked_s <= delay_s <= asked_s + policy.max_delay_s
    assert asked_s <= policy.max_retry_after_s
    assert elapsed_s + delay_s < policy.deadline_s
    assert len(failures) < policy.max_tries
    assert sum(isinstance(failure, ReadTimeout) for failure in failures) <= 1


@given(st.integers(1, 100), rngs)
def test_the_ceiling_doubles_up_to_its_maximum(failed: int, rng: random.Random) -> None:
    policy = RetryPolicy(max_tries=1000, base_delay_s=0.5, max_delay_s=8.0)
    failures: list[EngineError] = [EngineUnavailable("x", "busy")] * failed
    delay_s = policy.delay_s(failures, elapsed_s=0.0, rng=rng)
    assert delay_s is not None
    assert 0 <= delay_s <= min(8.0, 0.5 * 2.0 ** (failed - 1))


async def _outcome(failures: list[EngineError], policy: RetryPolicy) -> tuple[str, int]:
    left = list(failures)
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if left:
            raise left.pop(0)
        return "done"

    result = await with_retries(
        attempt, expert="x", policy=policy, clock=SystemClock(), rng=random.Random(0)
    )
    return result, tries


async def test_it_tries_until_it_succeeds() -> None:
    policy = RetryPolicy(base_delay_s=0.001)
    busy = EngineUnavailable("x", "busy")
    assert await _outcome([busy, busy], policy) == ("done", 3)


async def test_the_last_failure_is_the_one_raised() -> None:
    policy = RetryPolicy(max_tries=2, base_delay_s=0.001)
    with pytest.raises(EngineTimeout, match="second"):
        await _outcome([EngineUnavailable("x", "first"), EngineTimeout("x", "second")], policy)


async def test_a_silence_is_retried_once_only() -> None:
    policy = RetryPolicy(max_tries=9, base_delay_s=0.001)
    with pytest.raises(ReadTimeout, match="2"):
        await _outcome([ReadTimeout("x", "1"), ReadTimeout("x", "2")], policy)


async def test_the_deadline_ends_an_attempt() -> None:
    policy = RetryPolicy(deadline_s=0.05)
    with pytest.raises(EngineTimeout, match="deadline"):
        await with_retries(
            asyncio.Event().wait,
            expert="x",
            policy=policy,
            clock=SystemClock(),
            rng=random.Random(0),
        )
