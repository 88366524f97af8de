"""Sums over time are those of the records, each counted once, in both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coterie.db import Database, utcnow
from orchestrator.traces.store import TraceStore
from orchestrator.traces.traffic import Point, Requests, Step, filled
from orchestrator.traces.traffic_store import TrafficStore

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAY = (NOON - timedelta(hours=12), NOON + timedelta(hours=12))


def call(expert: str, ms: float = 40.0, *, role: str = "answer", **fields: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    return {
        "expert": expert,
        "role": role,
        "usage": usage,
        "cost_usd": 0.25,
        "latency_ms": ms,
        "error": None,
        **fields,
    }


def record(id: str, at: datetime = NOON, **fields: Any) -> dict[str, Any]:
    """Ada and bob agreed, cyd did not, dan failed."""
    return {
        "id": id,
        "created_at": at.isoformat(),
        "strategy": "symbolic",
        "model": "coterie",
        "status": "answered",
        "calls": [call("ada"), call("bob", 80.0), call("cyd"), call("dan", error="gone")],
        "answers": [{"expert": e} for e in ("ada", "bob", "cyd")],
        "votes": {"42": ["ada", "bob"], "41": ["cyd"]},
        "agreement": 0.5,
        "answer": {"expert": "ada", "text": "42"},
        "usage": {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48},
        "cost_usd": 1.0,
        "steps_ms": {"infer": 1.0, "ask": 99.0},
        "overhead_ms": 1.0,
        **fields,
    }


@pytest.fixture
def traces(database: Database) -> TraceStore:
    return TraceStore(database)


@pytest.fixture
def traffic(database: Database) -> TrafficStore:
    return TrafficStore(database)


async def test_requests_are_summed_by_hour_and_day(
    traces: TraceStore, traffic: TrafficStore
) -> None:
    later = NOON + timedelta(minutes=61)
    failed: dict[str, Any] = {
        "status": "failed",
        "error": "no",
        "steps_ms": None,
        "agreement": None,
        "answers": [],
    }
    await traces.save([record("a"), record("b"), record("c", later, **failed)])
    first, second = await traffic.series(*DAY, Step.HOUR)
    assert (first.start, second.start) == (NOON, NOON + timedelta(hours=1))
    assert (first.sums.requests, first.sums.answered, first.sums.calls) == (2, 2, 8)
    assert (first.sums.failed_calls, first.sums.prompt_tokens) == (2, 80)
    assert (first.sums.mean_latency_ms, first.sums.mean_overhead_ms) == (100.0, 1.0)
    assert (first.sums.mean_agreement, first.sums.cost_usd) == (0.5, 2.0)
    assert (second.sums.failed, second.sums.timed, second.sums.mean_latency_ms) == (1, 0, None)
    [day] = await traffic.series(*DAY, Step.DAY)
    assert day.sums.requests == 3
    assert (await traffic.total(*DAY, Step.DAY)) == day.sums


async def test_periods_without_requests_are_filled_in(
    traces: TraceStore, traffic: TrafficStore
) -> None:
    await traces.save([record("a")])
    known = await traffic.series(*DAY, Step.HOUR)
    points = filled(known, *DAY, Step.HOUR, Point(DAY[0], Requests()))
    assert [p.sums.requests for p in points] == [0] * 12 + [1] + [0] * 11


async def test_nothing_sums_to_nothing(traffic: TrafficStore) -> None:
    assert (await traffic.total(*DAY, Step.HOUR)).requests == 0
    assert await traffic.experts(*DAY, Step.HOUR) == []


async def test_each_expert_has_its_own_sums(traces: TraceStore, traffic: TrafficStore) -> None:
    await traces.save([record("a"), record("b")])
    found = {c.expert: c for c in await traffic.experts(*DAY, Step.HOUR)}
    assert sorted(found) == ["ada", "bob", "cyd", "dan"]
    assert (found["ada"].calls, found["ada"].chosen, found["ada"].agreement) == (2, 2, 1.0)
    assert (found["bob"].chosen, found["bob"].agreement, found["bob"].mean_latency_ms) == (0, 1, 80)
    assert (found["cyd"].agreement, found["cyd"].success) == (0.0, 1.0)
    assert (found["dan"].success, found["dan"].mean_latency_ms) == (0.0, None)
    assert found["ada"].mean_cost_usd == 0.25
    assert 20 < (found["ada"].latency_at(0.5) or 0) <= 50
    assert 0.2 < (found["ada"].cost_at(0.5) or 0) <= 0.5
    [point] = await traffic.expert_series("bob", *DAY, Step.DAY)
    assert point.sums == found["bob"]


async def test_who_writes_has_sums_of_another_role(
    traces: TraceStore, traffic: TrafficStore
) -> None:
    calls = [call("ada"), call("ada", role="aggregate")]
    await traces.save([record("a", synthesis={"expert": "ada"}, calls=calls)])
    found = {c.role: c for c in await traffic.experts(*DAY, Step.HOUR)}
    assert {role: c.chosen for role, c in found.items()} == {"answer": 0, "aggregate": 1}
    assert (await traffic.total(*DAY, Step.HOUR)).written == 1


async def test_a_record_that_is_overwritten_counts_once_as_it_was_told_last(
    traces: TraceStore, traffic: TrafficStore
) -> None:
    await traces.save([record("a"), record("b")])
    await traces.save([record("a", strategy="coe", calls=[call("ada", 900.0)])])
    found = await traffic.strategies(*DAY, Step.HOUR)
    assert {name: sums.requests for name, sums in found.items()} == {"symbolic": 1, "coe": 1}
    ada = next(c for c in await traffic.experts(*DAY, Step.DAY) if c.expert == "ada")
    assert (ada.calls, ada.latency_ms, sum(ada.latencies)) == (2, 940.0, 2)


async def test_sums_outlive_their_records(traces: TraceStore, traffic: TrafficStore) -> None:
    await traces.save([record("a"), record("b")])
    assert await traces.prune(0) == 2
    assert (await traffic.total(*DAY, Step.HOUR)).requests == 2


async def test_single_minutes_are_summed_of_the_last_day_alone(
    traces: TraceStore, traffic: TrafficStore
) -> None:
    now = utcnow()
    await traces.save([record("a", now), record("b", NOON)])
    points = await traffic.series(NOON, now + timedelta(minutes=1), Step.MINUTE)
    assert [p.sums.requests for p in points] == [1]
    await traffic.forget_minutes(now + timedelta(minutes=1))
    assert await traffic.series(NOON, now + timedelta(minutes=1), Step.MINUTE) == []
