"""The routers every other one has to beat."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.static_mix import best_mix
from tests.orchestrator.routing.routing_worlds import SQL, expert, pool, profile, question, world


def test_the_best_single_expert_ignores_the_question() -> None:
    found = load_router("best-single").route(
        SQL, pool(profile("a", 0.8, sql=0.1), profile("b", 0.2, sql=0.9)), Policy()
    )
    assert found.chosen == ("a",)


def test_all_are_asked_within_the_limit() -> None:
    group = [profile(n, 0.5, sql=0.5) for n in "abcdefg"]
    assert len(load_router("all").route(SQL, pool(*group), Policy(most=5)).chosen) == 5
    assert load_router("majority").route(SQL, pool(*group), Policy(most=9)).strategy == "all"


def test_random_is_drawn_from_the_seed() -> None:
    group = pool(*[profile(n, 0.5) for n in "abcdef"])
    router = load_router("random")
    drawn = {router.route(SQL, group, Policy(seed=s)).chosen for s in range(40)}
    assert len(drawn) > 3
    assert router.route(SQL, group, Policy(seed=7)) == router.route(SQL, group, Policy(seed=7))


# --- per category -------------------------------------------------------------------------------


def test_the_best_of_the_predicted_category_is_asked() -> None:
    experts, knowledge = world(2, 5)
    group, router = Pool(experts, knowledge), load_router("per-category")
    memory = knowledge.memory
    assert memory is not None
    for i in range(6):
        asked = question(i)
        category = asked.skills[0].skill
        rows = [q for q, c in enumerate(memory.categories) if c == category]
        found = router.route(asked, group, Policy())
        assert repr(category) in found.reason
        rate = memory.correct[rows].mean(axis=0)
        assert rate[memory.experts.index(found.chosen[0])] >= rate.max() - 0.05


def test_without_a_vector_the_best_single_expert_is_asked() -> None:
    experts, knowledge = world(2, 5)
    group = Pool(experts, knowledge)
    found = load_router("per-category").route(SQL, group, Policy())
    assert found.chosen == load_router("best-single").route(SQL, group, Policy()).chosen
    assert "no category" in found.reason


# --- the static mix -----------------------------------------------------------------------------

costs = st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 100)), min_size=1, max_size=8)


@given(costs, st.floats(0.05, 120))
def test_a_mix_keeps_its_budget_and_no_single_expert_within_it_is_better(
    points: list[tuple[float, float]], budget: float
) -> None:
    accuracy, cost = np.array(points).T
    mix = best_mix(accuracy, cost, budget)
    mean = (1 - mix.share) * cost[mix.cheap] + mix.share * cost[mix.dear]
    value = (1 - mix.share) * accuracy[mix.cheap] + mix.share * accuracy[mix.dear]
    assert 0 <= mix.share <= 1
    assert mean <= max(budget, cost.min()) + 1e-9
    within = accuracy[cost <= budget]
    assert value >= (within.max() if len(within) else 0) - 1e-12


def test_a_mix_is_on_the_hull() -> None:
    accuracy, cost = np.array([0.4, 0.45, 0.7]), np.array([1.0, 5.0, 9.0])
    mix = best_mix(accuracy, cost, 5.0)
    assert (mix.cheap, mix.dear) == (0, 2)
    assert mix.share == pytest.approx(0.5)


def test_drawn_often_enough_the_mix_costs_its_budget() -> None:
    sizes = {"large": 70.0, "small": 2.0}
    known = pool(profile("large", 0.8), profile("small", 0.5)).knowledge
    group = Pool([expert(n, active_params_b=b) for n, b in sizes.items()], known)
    router = load_router("static-mix")
    drawn = Counter(
        router.route(Query(text=str(i)), group, Policy(mean_cost=30.0)).chosen[0]
        for i in range(4000)
    )
    mean = sum(sizes[name] * n for name, n in drawn.items()) / 4000
    assert mean == pytest.approx(30.0, rel=0.05)


def test_the_default_budget_is_what_symbolic_would_spend() -> None:
    experts, knowledge = world(3, 6)
    group = Pool(experts, knowledge)
    assert "for a mean cost of" in load_router("static-mix").route(SQL, group, Policy()).reason
