"""Rates and budgets before a call, and what it took after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from coterie.errors import QuotaExceeded, RateExceeded, StoreUnavailable
from orchestrator.keys.budget import NOTHING, Budget, Spent
from orchestrator.keys.key import ANYONE, Caller, Rates
from orchestrator.keys.ledger_store import Settled, Standing
from orchestrator.keys.meter import Meter
from orchestrator.keys.rates import RateCounter


@dataclass
class Book:
    """The ledger's port, in memory."""

    away: bool = False
    spent: float = 0.0
    held: dict[str, float] = field(default_factory=dict)
    told: list[Settled] = field(default_factory=list)

    async def hold(
        self, id: str, key: str, budget: Any, wanted: Sequence[Spent], now: datetime, ttl: timedelta
    ) -> Standing:
        if self.away:
            raise StoreUnavailable("the database cannot be reached")
        spent, held = Spent(self.spent), Spent(sum(self.held.values()))
        fits = budget.fits(spent, held, wanted[0])
        if fits:
            self.held[id] = wanted[0].usd
        return Standing(spent, Spent(sum(self.held.values())), (fits,))

    async def settle(self, settled: Sequence[Settled]) -> None:
        if self.away:
            raise StoreUnavailable("the database cannot be reached")
        for one in settled:
            self.told.append(one)
            self.held.pop(one.id, None)
            self.spent += one.spent.usd


@pytest.fixture
def book() -> Book:
    return Book()


def meter(book: Book, times: Any, *, closed: bool = False) -> Meter:
    return Meter(RateCounter(closed=closed), book, closed=closed, now=times)


async def admit(found: Meter, id: str, caller: Caller, usd: float = 1.0, prompt: int = 10) -> Any:
    return await found.admit(id, caller, lambda: prompt, lambda tokens: Spent(usd, tokens))


async def test_callers_without_a_key_pass_untouched(book: Book, times: Any) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("nobody need know")

    leave = await meter(book, times).admit("r1", ANYONE, never, never)
    assert not leave.counts
    leave.settle(Spent(1.0))
    assert book.told == []


async def test_a_key_without_limits_is_counted_behind(book: Book, times: Any, world: Any) -> None:
    found = meter(book, times)
    leave = await admit(found, "r1", Caller.of(world.key(id="key_1")))
    leave.settle(Spent(1.0, 5))
    leave.settle(Spent(1.0, 5))
    assert book.told == []
    await found.write()
    assert book.told == [Settled("r1", "key_1", Spent(1.0, 5), times.now, False)]


async def test_a_budget_is_held_before_and_settled_after(
    book: Book, times: Any, world: Any
) -> None:
    found, caller = meter(book, times), Caller.of(world.key(id="k", budget=Budget(3, "usd", "day")))
    first, second = await admit(found, "r1", caller, 2.0), None
    with pytest.raises(QuotaExceeded, match=r"\$3 a day") as refused:
        second = await admit(found, "r2", caller, 2.0)
    assert second is None
    assert refused.value.retry_after_s == 10.25 * 3600  # until midnight, UTC
    first.settle(Spent(0.5))
    await found.write()
    assert (await admit(found, "r3", caller, 2.0)).counts


async def test_spending_waits_for_a_database_that_is_away(
    book: Book, times: Any, world: Any
) -> None:
    found, caller = meter(book, times), Caller.of(world.key(id="k", budget=Budget(3, "usd", "day")))
    leave = await admit(found, "r1", caller, 2.0)
    book.away = True
    leave.settle(Spent(1.5))
    with pytest.raises(StoreUnavailable):
        await found.write()
    book.away = False
    await found.write()
    assert (book.spent, book.held) == (1.5, {})


async def test_while_the_database_is_away_a_budget_is_kept_by_what_is_known(
    book: Book, times: Any, world: Any
) -> None:
    found, caller = meter(book, times), Caller.of(world.key(id="k", budget=Budget(3, "usd", "day")))
    await admit(found, "r1", caller, 1.5)
    book.away = True
    assert (await admit(found, "r2", caller, 1.5)).counts
    with pytest.raises(QuotaExceeded):
        await admit(found, "r3", caller, 1.5)
    times.go(24 * 3600)
    assert (await admit(found, "r4", caller, 1.5)).counts


async def test_limits_may_be_closed_while_the_database_is_away(
    book: Book, times: Any, world: Any
) -> None:
    found, book.away = meter(book, times, closed=True), True
    with pytest.raises(StoreUnavailable, match="budget of the key 'ada'"):
        await admit(found, "r1", Caller.of(world.key(budget=Budget(3, "usd", "day"))))
    assert await admit(found, "r2", Caller.of(world.key()))


async def test_requests_a_minute_are_counted(book: Book, times: Any, world: Any) -> None:
    found, caller = meter(book, times), Caller.of(world.key(id="k", rates=Rates(requests=2)))
    first = await admit(found, "r1", caller)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert 50 < float(first.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    assert (await found.count(caller))["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(RateExceeded, match="2 requests a minute") as refused:
        await admit(found, "r3", caller)
    assert 0 < refused.value.retry_after_s <= 60
    assert refused.value.headers["x-ratelimit-remaining-requests"] == "0"
    other = Caller.of(world.key(id="other", rates=Rates(requests=2)))
    assert await admit(found, "r4", other)


async def test_tokens_a_minute_are_counted_as_they_were_used(
    book: Book, times: Any, world: Any
) -> None:
    found, caller = meter(book, times), Caller.of(world.key(id="k", rates=Rates(tokens=100)))
    leave = await admit(found, "r1", caller, prompt=30)
    assert leave.headers["x-ratelimit-remaining-tokens"] == "70"
    leave.settle(Spent(0.0, 95))
    await asyncio.gather(*found._adding)
    with pytest.raises(RateExceeded, match="5 are left"):
        await admit(found, "r2", caller, prompt=30)
    assert (await admit(found, "r3", caller, prompt=5)).counts  # what was refused used up nothing
    with pytest.raises(RateExceeded, match="shorten it"):
        await admit(found, "r4", caller, prompt=101)


async def test_processes_that_share_redis_count_together(valkey_url: str, world: Any) -> None:
    key = world.key(id="k", rates=Rates(requests=3, tokens=100))
    here, there = (RateCounter.of(valkey_url, "test") for _ in range(2))
    try:
        await here.admit(key, 10)
        await there.admit(key, 10)
        requests, tokens = await here.admit(key, 10)
        assert (requests.left, tokens.left) == (0, 70)
        assert 50 < requests.reset_s <= 61
        with pytest.raises(RateExceeded):
            await there.admit(key, 10)
        await there.add(key, 60)
    finally:
        await here.aclose()
        await there.aclose()


async def test_rates_go_on_without_redis_or_are_closed(mortal_valkey: Any, world: Any) -> None:
    key = world.key(id="k", rates=Rates(requests=1))
    open_, closed = (RateCounter.of(mortal_valkey.url, "t", closed=c) for c in (False, True))
    mortal_valkey.kill()
    try:
        with pytest.raises(StoreUnavailable, match="Redis cannot be reached"):
            await closed.admit(key, 1)
        await open_.admit(key, 1)
        with pytest.raises(RateExceeded):  # counted by this process alone
            await open_.admit(key, 1)
    finally:
        await open_.aclose()
        await closed.aclose()


async def test_nothing_is_held_for_a_call_that_its_rates_refuse(
    book: Book, times: Any, world: Any
) -> None:
    key = world.key(id="k", rates=Rates(requests=1), budget=Budget(9, "usd", "day"))
    found = meter(book, times)
    await admit(found, "r1", Caller.of(key))
    with pytest.raises(RateExceeded):
        await admit(found, "r2", Caller.of(key))
    assert list(book.held) == ["r1"]
    assert book.spent == NOTHING.usd
