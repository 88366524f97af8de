"""Which expert serves which category."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from orchestrator.routing.mapping import Program, assign


def program(seed: int) -> tuple[Program, float | None, float | None]:
    """A small random program and budgets, either of which may be absent or out of reach."""
    rng = np.random.default_rng(seed)
    c, e = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    engine = rng.integers(e, size=e)
    found = Program(
        rng.random((c, e)).round(2),
        rng.dirichlet(np.ones(c)),
        rng.integers(1, 10, size=(c, e)).astype(float),
        engine,
        rng.integers(1, 10, size=e).astype(float),
    )
    hosting = None if rng.random() < 0.3 else float(rng.integers(1, 20))
    cost = None if rng.random() < 0.3 else float(rng.uniform(1, 8))
    return found, hosting, cost


def brute_force(p: Program, hosting_gb: float | None, mean_cost: float | None) -> float:
    """The best value of any mapping within the budgets; minus infinity where there is none."""
    categories, experts = p.value.shape
    best = -math.inf
    for mapping in itertools.product(range(experts), repeat=categories):
        serving = np.array(mapping)
        if hosting_gb is not None and memory(p, serving) > hosting_gb:
            continue
        if mean_cost is not None and p.mean(p.cost, serving) > mean_cost:
            continue
        best = max(best, p.mean(p.value, serving))
    return best


def memory(p: Program, serving: np.ndarray) -> float:
    return float(p.memory_gb[np.unique(p.engine[serving])].sum())


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 100_000))
def test_the_mapping_is_the_best_within_the_budgets(seed: int) -> None:
    p, hosting, cost = program(seed)
    best = brute_force(p, hosting, cost)
    if best == -math.inf:
        with pytest.raises(ConfigurationError):
            assign(p, hosting_gb=hosting, mean_cost=cost)
        return
    found = assign(p, hosting_gb=hosting, mean_cost=cost)
    assert p.mean(p.value, found.serving) == pytest.approx(best, abs=1e-6)
    assert found.hosted[found.serving].all()
    if hosting is not None:
        assert memory(p, np.flatnonzero(found.hosted)) <= hosting
    if cost is not None:
        assert p.mean(p.cost, found.serving) <= cost * (1 + 1e-9)


def test_a_budget_that_is_met_exactly_is_met() -> None:
    p = Program(
        np.array([[0.2, 0.9], [0.3, 0.8]]),
        np.array([0.5, 0.5]),
        np.array([[1.0, 3.0]] * 2),
        np.arange(2),
        np.array([4.0, 8.0]),
    )
    assert assign(p, mean_cost=1.0).serving.tolist() == [0, 0]
    assert assign(p, mean_cost=2.0).serving.tolist() == [1, 0]
    assert assign(p, mean_cost=3.0).serving.tolist() == [1, 1]
    assert assign(p, hosting_gb=8.0).serving.tolist() == [1, 1]
    assert assign(p, hosting_gb=4.0).serving.tolist() == [0, 0]


def test_memory_left_over_hosts_the_next_best() -> None:
    p = Program(
        np.array([[0.9, 0.5, 0.7, 0.6]]),
        np.ones(1),
        np.ones((1, 4)),
        np.array([0, 1, 2, 1]),
        np.array([5.0, 3.0, 8.0]),
    )
    assert assign(p, hosting_gb=9.0).hosted.tolist() == [True, True, False, True]


def test_a_budget_that_cannot_be_met_names_the_smallest_that_can() -> None:
    p = Program(
        np.ones((2, 3)),
        np.array([0.75, 0.25]),
        np.array([[2.0, 5.0, 1.0], [6.0, 4.0, 1.0]]),
        np.arange(3),
        np.array([6, 4, 9.0]),
    )
    with pytest.raises(ConfigurationError, match="smallest hosting_gb that can be met is 4"):
        assign(p, hosting_gb=3.0)
    with pytest.raises(ConfigurationError, match="smallest mean_cost that can be met is 1"):
        assign(p, mean_cost=0.5)
    with pytest.raises(ConfigurationError, match=r"fits into 6 GB costs 3.*met is 3"):
        assign(p, hosting_gb=6.0, mean_cost=2.75)
    with pytest.raises(ConfigurationError, match="smallest mean_cost that can be met is 1"):
        assign(p, mean_cost=0.0)


def test_what_takes_an_unknown_amount_is_left_out_of_a_bounded_mapping() -> None:
    unknown = math.inf
    p = Program(
        np.array([[0.9, 0.1]]), np.ones(1), np.array([[unknown, 3]]), np.arange(2), np.ones(2)
    )
    assert assign(p).serving.tolist() == [0]
    assert assign(p, hosting_gb=2.0).serving.tolist() == [0]
    assert assign(p, mean_cost=100.0).serving.tolist() == [1]
    nobody = Program(p.value, p.share, np.full((1, 2), unknown), p.engine, np.full(2, unknown))
    with pytest.raises(ConfigurationError, match="give the experts active_params_b"):
        assign(nobody, mean_cost=5.0)
    with pytest.raises(ConfigurationError, match="give the experts total_params_b"):
        assign(nobody, hosting_gb=5.0)


def test_a_costly_expert_may_serve_what_is_rare() -> None:
    p = Program(
        np.array([[0.5, 0.6], [0.1, 0.9]]),
        np.array([0.9, 0.1]),
        np.array([[1.0, 8.0]] * 2),
        np.arange(2),
        np.ones(2),
    )
    assert assign(p, mean_cost=2.0).serving.tolist() == [0, 1]


def test_sixty_four_experts_and_fifteen_categories_are_mapped_under_both_budgets() -> None:
    rng = np.random.default_rng(0)
    p = Program(
        rng.beta(4, 4, (15, 64)),
        rng.dirichlet(np.ones(15)),
        np.tile(rng.uniform(1, 70, 64), (15, 1)),
        np.arange(64),
        rng.uniform(2, 140, 64),
    )
    found = assign(p, hosting_gb=160.0, mean_cost=20.0)
    assert p.mean(p.cost, found.serving) <= 20.0 + 1e-9
    assert p.memory_gb[found.hosted].sum() <= 160.0
