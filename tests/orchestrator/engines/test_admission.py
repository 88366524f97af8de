"""How many calls of one expert go on at a time, and what becomes of the others."""

from __future__ import annotations

import asyncio

import pytest

from coterie.errors import ExpertBusy
from coterie.types import Limits
from orchestrator.engines.admission import Admission, patiently
from tests.orchestrator.engines.engine_clocks import HandClock, SystemClock


class Calls:
    """Calls through one admission, each of which lasts until it is told to end."""

    def __init__(self, limits: Limits | None) -> None:
        self.admission = Admission("law", SystemClock(), limits)
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, *, patient: bool = False) -> asyncio.Task[None]:
        self._ends[name] = asyncio.Event()

        async def call() -> None:
            async with self.admission.entered():
                self.begun.append(name)
                await self._ends[name].wait()

        async def patient_call() -> None:
            with patiently():
                await call()

        task = self._tasks[name] = asyncio.create_task(patient_call() if patient else call())
        await settled()
        return task

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    async def leave(self, name: str) -> None:
        self._tasks[name].cancel()
        await settled()

    async def all_over(self) -> None:
        for end in self._ends.values():
            end.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        assert self.admission.inside == 0
        assert self.admission.queued == 0


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_that_wait_come_in_as_they_came() -> None:
    calls = Calls(Limits(2, queue=5))
    for name in "abcde":
        await calls.come(name)
    assert calls.begun == ["a", "b"]
    assert calls.admission.queued == 3
    await calls.end("b")
    await calls.end("a")
    assert calls.begun == ["a", "b", "c", "d"]
    await calls.all_over()


async def test_a_full_queue_sends_away_and_says_when_to_come_again() -> None:
    calls = Calls(Limits(1, queue=1))
    await calls.come("a")
    await calls.come("b")
    assert calls.admission.is_full
    with pytest.raises(
        ExpertBusy, match=r"as many calls wait .* \(1 at a time, 1 in the queue\)"
    ) as told:
        await (await calls.come("c"))
    assert told.value.retry_after_s
    assert 1 <= told.value.retry_after_s <= 60
    await calls.all_over()


async def test_a_turn_that_does_not_come_in_time_is_an_error() -> None:
    calls = Calls(Limits(1, queue=1, queue_s=0.02))
    await calls.come("a")
    late = await calls.come("b")
    with pytest.raises(ExpertBusy, match=r"did not come within 0\.02 s"):
        await late
    assert calls.begun == ["a"]
    await calls.end("a")
    await calls.come("c")
    assert calls.begun == ["a", "c"], "the place of the one that left is free"
    await calls.all_over()


async def test_who_goes_away_leaves_the_queue_and_the_place() -> None:
    calls = Calls(Limits(1, queue=2))
    for name in "abc":
        await calls.come(name)
    await calls.leave("b")
    assert calls.admission.queued == 1
    await calls.leave("a")
    assert calls.begun == ["a", "c"]
    await calls.all_over()


async def test_a_turn_that_comes_as_its_caller_leaves_goes_to_the_next() -> None:
    calls = Calls(Limits(1, queue=2))
    for name in "abc":
        await calls.come(name)
    calls._ends["a"].set()
    await asyncio.sleep(0)  # a's place has been given to b, which has not run yet
    await calls.leave("b")
    assert calls.begun[-1] == "c"
    await calls.all_over()


async def test_patient_work_stands_behind_everybody_and_is_never_sent_away() -> None:
    calls = Calls(Limits(1, queue=1, queue_s=0.02))
    await calls.come("a")
    jobs = [await calls.come(f"job-{i}", patient=True) for i in range(3)]
    await calls.come("b")
    assert calls.admission.queued == 1
    await calls.end("a")
    assert calls.begun == ["a", "b"]
    await calls.end("b")
    assert calls.begun == ["a", "b", "job-0"]
    await calls.all_over()
    assert [task.exception() for task in jobs] == [None] * 3


async def test_limits_may_be_raised_and_lifted_while_calls_go_on() -> None:
    calls = Calls(Limits(1))
    await calls.come("a")
    calls.admission.limits = Limits(2)
    await calls.come("b")
    calls.admission.limits = None
    await calls.come("c")
    assert calls.begun == ["a", "b", "c"]
    await calls.all_over()


async def test_the_wish_follows_how_long_calls_take() -> None:
    clock = HandClock()
    admission = Admission("law", clock, Limits(2, queue=9))
    for _ in range(40):
        async with admission.entered():
            clock.now_s += 12.0
    assert admission.busy().retry_after_s == pytest.approx(6.0, rel=0.01)
