from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.scheduling import placement
from orchestrator.scheduling.cluster import Cluster, EngineFigures, Gpu
from orchestrator.scheduling.placement import place
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Demand


def a_cluster(loads: list[float], gpus: int, gpu_gb: float = 70) -> Cluster:
    engines = tuple(
        EngineFigures(f"e{i}", gpu_gb=gpu_gb, load_s=s, tokens_s=1000, alone_tokens_s=1000)
        for i, s in enumerate(loads)
    )
    return Cluster(engines, tuple(Gpu(f"g{i}", 80) for i in range(gpus)))


def work(*seconds: float) -> tuple[Demand, ...]:
    return tuple(Demand(f"e{i}", 100, s * 10) for i, s in enumerate(seconds))


jobs = st.lists(st.tuples(st.integers(5, 60), st.integers(1, 300)), min_size=1, max_size=5)


@given(jobs, st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_all_work_is_placed_where_it_fits(drawn: list[tuple[int, int]], gpus: int) -> None:
    found = place(a_cluster([s for s, _ in drawn], gpus), work(*(w for _, w in drawn)))
    for i in range(len(drawn)):
        assert sum(parts.get(f"e{i}", 0.0) for parts in found.parts.values()) == pytest.approx(1)


@given(jobs, st.integers(2, 3))
@settings(max_examples=30, deadline=None)
def test_it_is_no_worse_than_the_best_without_splitting(
    drawn: list[tuple[int, int]], gpus: int
) -> None:
    found = place(a_cluster([s for s, _ in drawn], gpus), work(*(w for _, w in drawn)))
    best = min(
        max(
            sum(s + w for (s, w), at in zip(drawn, way, strict=True) if at == g)
            for g in range(gpus)
        )
        for way in itertools.product(range(gpus), repeat=len(drawn))
    )
    assert found.makespan_s <= best * (1 + placement.GAP) + 0.1


def test_much_work_is_split_where_that_pays_for_loading_twice() -> None:
    found = place(a_cluster([20, 20], 2), work(400, 100))
    assert found.solved
    assert set(found.parts["g0"]) | set(found.parts["g1"]) == {"e0", "e1"}
    assert found.makespan_s == pytest.approx((20 * 3 + 500) / 2, rel=0.02)
    little = place(a_cluster([60, 60], 2), work(50, 40))
    assert list(map(len, little.parts.values())) == [1, 1]


def test_an_engine_goes_where_it_sleeps() -> None:
    tiers = {"g1": {"e0": Tier.ASLEEP_1}}
    found = place(a_cluster([60], 2), work(10), tiers)
    assert found.parts == {"g0": {}, "g1": {"e0": 1.0}}


def test_a_large_program_is_left_to_the_rule_of_thumb(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    cluster = a_cluster([30.0] * 64, 8)
    demand = work(*rng.integers(5, 200, 64).tolist())
    found = place(cluster, demand)
    assert not found.solved
    total = sum(d.units * d.tokens / 1000 + 30 for d in demand) / 8
    assert total <= found.makespan_s + 1e-6 <= 1.05 * total


def test_without_enough_time_the_rule_of_thumb_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "LIMIT_S", 0.0)
    found = place(a_cluster([20, 20], 2), work(400, 100))
    assert not found.solved
    assert found.makespan_s <= 320


def test_equal_inputs_are_placed_equally() -> None:
    cluster, demand = a_cluster([20, 30, 40, 50], 3), work(100, 200, 50, 80)
    once = place(cluster, demand)
    assert once == place(cluster, demand) == place(cluster, demand[::-1])
    assert once.assigned()["g0"] == frozenset(once.parts["g0"])
