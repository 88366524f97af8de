"""Keys, their spending and the audit log are kept alike by both databases."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coterie.db import Database
from coterie.errors import UnknownKey
from orchestrator.keys.audit import ChangeFilters
from orchestrator.keys.audit_store import AuditStore
from orchestrator.keys.budget import NOTHING, Budget, Spent
from orchestrator.keys.key import ApiKey, Rates, Role
from orchestrator.keys.ledger_store import LedgerStore, Settled
from orchestrator.keys.store import Held, KeyStore

AT = datetime(2026, 11, 26, 13, 45, tzinfo=UTC)
TTL = timedelta(hours=1)
DAY = Budget(10.0, "usd", "day")
DAYS = itertools.count(1)
KEY = ApiKey(
    "key_1",
    "ada",
    Role.CHAT,
    "ctr_abcdef",
    AT,
    created_by="admin-file",
    expires_at=AT + timedelta(days=1),
    experts=("a", "b"),
    strategies=("coe",),
    budget=DAY,
    rates=Rates(10, 1000),
    contents="hashed",
)


# --- keys ---------------------------------------------------------------------------------------


async def test_a_key_comes_back_as_it_was(database: Database) -> None:
    store = KeyStore(database)
    await store.add(KEY, "f" * 64)
    assert await store.all() == [Held(KEY, "f" * 64)]
    assert await store.get("key_1") == KEY
    with pytest.raises(UnknownKey):
        await store.get("key_2")


async def test_every_change_of_a_key_is_seen(database: Database) -> None:
    store = KeyStore(database)
    states = [await store.state()]
    await store.add(KEY, "f" * 64)
    states.append(await store.state())
    await store.replace(replace(KEY, name="bob", budget=None))
    states.append(await store.state())
    await store.revoke("key_1", AT)
    states.append(await store.state())
    assert len(set(states)) == 4
    assert (await store.revoke("key_1", AT + TTL)).revoked_at == AT  # the first one stays
    assert await store.state() == states[-1]
    await store.used({"key_1": AT})
    assert await store.state() == states[-1]  # no change of what the key may do
    assert (await store.get("key_1")).last_used_at == AT


async def test_an_earlier_use_is_not_kept_over_a_later_one(database: Database) -> None:
    store = KeyStore(database)
    await store.add(KEY, "f" * 64)
    await store.used({"key_1": AT})
    await store.used({"key_1": AT - TTL, "gone": AT})
    assert (await store.get("key_1")).last_used_at == AT


# --- the ledger ---------------------------------------------------------------------------------


@pytest.fixture
async def ledger(database: Database) -> LedgerStore:
    await KeyStore(database).add(KEY, "f" * 64)
    return LedgerStore(database)


async def hold(ledger: LedgerStore, id: str, *usd: float, now: datetime = AT) -> tuple[bool, ...]:
    wanted = [Spent(amount, 10) for amount in usd]
    return (await ledger.hold(id, "key_1", DAY, wanted, now, TTL)).fits


def over(id: str, usd: float, at: datetime = AT, *, held: bool = True) -> Settled:
    return Settled(id, "key_1", Spent(usd, 7), at, held)


async def test_what_is_held_is_not_held_twice(ledger: LedgerStore) -> None:
    assert await hold(ledger, "r1", 6.0) == (True,)
    assert await hold(ledger, "r2", 6.0) == (False,)
    assert await hold(ledger, "r3", 4.0) == (True,)
    await ledger.settle([over("r1", 1.0), over("r3", 0.5)])
    found = await ledger.standing("key_1", DAY, AT)
    assert (found.spent, found.held) == (Spent(1.5, 14), NOTHING)
    assert await hold(ledger, "r4", 8.5) == (True,)


async def test_a_call_is_counted_once_however_often_it_is_told(ledger: LedgerStore) -> None:
    await hold(ledger, "r1", 6.0)
    await ledger.settle([over("r1", 1.0)])
    await ledger.settle([over("r1", 1.0)])
    await ledger.settle([over("free", 2.0, held=False)])
    assert (await ledger.standing("key_1", DAY, AT)).spent == Spent(3.0, 14)


async def test_spending_belongs_to_the_period_a_call_began_in(ledger: LedgerStore) -> None:
    await hold(ledger, "r1", 9.0)
    tomorrow = AT + timedelta(days=1)
    await ledger.settle([over("r1", 9.0)])
    assert await hold(ledger, "r2", 2.0) == (False,)
    assert await hold(ledger, "r3", 2.0, now=tomorrow) == (True,)
    month = Budget(10.0, "usd", "month")
    assert (await ledger.standing("key_1", month, tomorrow)).spent.usd == 9.0


async def test_what_a_dead_process_held_lapses(ledger: LedgerStore) -> None:
    await hold(ledger, "r1", 9.0)
    assert await hold(ledger, "r2", 9.0, now=AT + TTL - timedelta(seconds=1)) == (False,)
    assert await hold(ledger, "r3", 9.0, now=AT + TTL) == (True,)
    await ledger.prune(AT + timedelta(days=30))
    assert (await ledger.standing("key_1", None, AT)).held == NOTHING


async def test_a_job_is_counted_step_by_step(ledger: LedgerStore) -> None:
    def step(total: float, kept: float, *wanted: float) -> object:
        amounts = [Spent(w) for w in wanted]
        return ledger.hold(
            "job", "key_1", DAY, amounts, AT, TTL, kept=Spent(kept), total=Spent(total)
        )

    assert (await step(0.0, 0.0, 3.0, 6.0, 2.0, 1.0)).fits == (True, True, False, True)  # type: ignore[attr-defined]
    standing = await ledger.standing("key_1", DAY, AT)
    assert (standing.spent, standing.held) == (NOTHING, Spent(10.0))
    await step(2.0, 7.0)
    await step(2.0, 7.0)  # the same step again
    await step(0.5, 7.0)  # of somebody who has not counted everything yet
    standing = await ledger.standing("key_1", DAY, AT)
    assert (standing.spent, standing.held) == (Spent(2.0), Spent(7.0))
    await step(4.0, 0.0)
    standing = await ledger.standing("key_1", DAY, AT)
    assert (standing.spent, standing.held) == (Spent(4.0), NOTHING)
    await ledger.prune(AT + timedelta(days=30))
    await step(4.0, 0.0)  # it is remembered what of it was counted
    assert (await ledger.standing("key_1", DAY, AT)).spent == Spent(4.0)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.floats(0.01, 6.0), st.floats(0.0, 1.0)), min_size=1, max_size=12))
async def test_concurrent_calls_never_spend_more_than_was_held(
    ledger: LedgerStore, calls: list[tuple[float, float]]
) -> None:
    """Whatever they take of what was held for them, together they stay within the budget."""
    day = AT + timedelta(days=next(DAYS))

    async def call(i: int, most: float, share: float) -> None:
        id = f"{day:%j}-{i}"
        found = await ledger.hold(id, "key_1", DAY, [Spent(most)], day, TTL)
        if found.fits[0]:
            await ledger.settle([Settled(id, "key_1", Spent(most * share), day, True)])

    await asyncio.gather(*(call(i, *c) for i, c in enumerate(calls)))
    standing = await ledger.standing("key_1", DAY, day)
    assert standing.spent.usd <= DAY.amount + 1e-9
    assert standing.held == NOTHING


# --- the audit log ------------------------------------------------------------------------------


async def test_changes_are_paged_newest_first(database: Database) -> None:
    store = AuditStore(database)
    for i in range(5):
        action = "expert.add" if i % 2 else "key.create"
        await store.add("key_1", "ada", action, f"t{i}", {"n": i}, AT + timedelta(days=i))
    first = await store.page(2)
    assert [c.target for c in first] == ["t4", "t3"]
    assert [c.target for c in await store.page(9, first[-1].id)] == ["t2", "t1", "t0"]
    assert [c.target for c in await store.page(9, None, ChangeFilters(action="expert"))] == [
        "t3",
        "t1",
    ]
    assert [c.target for c in await store.page(9, None, ChangeFilters(action="exp"))] == []
    both = ChangeFilters(target="t2", caller="key_1")
    assert [c.detail for c in await store.page(9, None, both)] == [{"n": 2}]
    assert await store.prune(AT + timedelta(days=3)) == 3
    assert len(await store.page(9)) == 2
