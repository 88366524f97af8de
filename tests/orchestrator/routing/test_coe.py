"""A prompt's category decides who serves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.coe import GENERAL, frontier, plan_of, rates_of
from skills.classifier import classifier_of
from skills.memory import Memory

COE = load_router("coe")
ABC = ("a", "b", "c")
Memories, Pools = Callable[..., Memory], Callable[..., Pool]


def about(category: int, dimension: int = 8) -> Query:
    return Query(vector=np.eye(dimension, dtype=np.float32)[category])


def cheapest(pool: Pool) -> float:
    """What the cheapest expert costs a question, its answers being as long everywhere."""
    return float(pool.costs.expected.min())


@pytest.fixture(scope="module")
def pool(make_memory: Memories, make_pool: Pools) -> Pool:
    return make_pool(make_memory(questions=300), ABC, (1.0, 2.0, 4.0))


def test_the_expert_of_the_category_serves_it(pool: Pool) -> None:
    for category, name in enumerate(ABC):
        found = COE.route(about(category), pool, Policy(first=1, most=1))
        assert found.chosen == (name,)
        assert found.reserve == ()
        assert f"category category-{category}" in found.reason
        assert found.candidates[0].expert == name


def test_others_follow_where_the_policy_lets_them_vote(pool: Pool) -> None:
    policy = Policy(first=2, most=3, comparable=0.0, confidence=0.99)
    found = COE.route(about(1), pool, policy)
    assert found.chosen[0] == "b"
    assert len(found.chosen) == 2
    assert set(found.chosen) | set(found.reserve) == set(ABC)
    alone = COE.route(about(1), pool, replace(policy, first=1))
    assert alone.chosen == ("b",)
    assert alone.reserve == (*found.chosen[1:], *found.reserve)


def test_one_that_is_sure_enough_is_asked_first_and_alone(pool: Pool) -> None:
    found = COE.route(about(1), pool, Policy(first=2, most=3, comparable=0.0))
    assert found.chosen == ("b",)
    assert len(found.reserve) == 2


def test_a_prompt_without_embedding_is_general(pool: Pool) -> None:
    found = COE.route(Query(text="?"), pool, Policy())
    assert "general, since the question has no embedding" in found.reason
    assert found.candidates[0].reason.startswith(GENERAL)
    other = COE.route(about(0, dimension=5), pool, Policy())
    assert "5 numbers" in other.reason


def test_a_pool_that_remembers_nothing_has_one_category(make_pool: Pools) -> None:
    found = COE.route(about(0), make_pool(None, ABC), Policy(first=1))
    assert found.chosen == ("c",)  # the highest overall rate
    assert "no graded question is remembered" in found.reason


def test_without_labels_everything_is_general(make_memory: Memories, make_pool: Pools) -> None:
    memory = make_memory()
    bare = replace(memory, categories=("",) * len(memory))
    found = COE.route(about(0), make_pool(bare, ABC), Policy(first=1))
    assert "no categories were learned" in found.reason


def test_an_uncertain_prompt_goes_to_the_general_expert(
    make_memory: Memories, make_pool: Pools
) -> None:
    # Between categories nobody is good but d, who is middling everywhere.
    memory = make_memory(("a", "b", "c", "d"), 600, noise=0.5, seed=3)
    between = np.sort(memory.vectors[:, :3], axis=1)
    blurred = between[:, 2] - between[:, 1] < 0.25
    correct = memory.correct.copy()
    correct[blurred, :3] = 0
    correct[:, 3] = np.where(blurred, 1, 0)
    pool = make_pool(replace(memory, correct=correct), ("a", "b", "c", "d"))
    assert np.isfinite(rates_of(pool).threshold)
    middle = np.zeros(8, dtype=np.float32)
    middle[:3] = 3**-0.5
    found = COE.route(Query(vector=middle), pool, Policy(first=1))
    assert found.chosen == ("d",)
    assert GENERAL in found.reason
    assert "entropy" in found.reason
    stays = COE.route(Query(vector=middle, holder="b"), pool, Policy(first=1))
    assert stays.chosen == ("b",)
    leaves = COE.route(replace(about(2), holder="b"), pool, Policy(first=1))
    assert leaves.chosen == ("c",)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_explanations_add_up_to_the_scores(pool: Pool, seed: int) -> None:
    vector = np.random.default_rng(seed).normal(size=8)
    query = Query(vector=(vector / np.linalg.norm(vector)).astype(np.float32))
    for candidate in COE.route(query, pool, Policy()).candidates:
        assert sum(term.value for term in candidate.terms) == pytest.approx(candidate.score)
        assert 0 <= candidate.success <= 1
        assert candidate.sd >= 0


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(3)), st.integers(0, 2))
def test_the_order_of_experts_changes_nothing(pool: Pool, order: list[int], category: int) -> None:
    other = Pool([pool.experts[i] for i in order], pool.knowledge)
    for policy in (Policy(), Policy(hosting_gb=6.0), Policy(mean_cost=2.5 * cheapest(pool))):
        assert COE.route(about(category), other, policy) == COE.route(about(category), pool, policy)


@settings(deadline=None, max_examples=60)
@given(st.floats(2, 16), st.floats(1.1, 5), st.integers(0, 2))
def test_budgets_are_never_exceeded(
    pool: Pool, hosting: float, times: float, category: int
) -> None:
    cost = times * cheapest(pool)
    policy = Policy(hosting_gb=hosting, mean_cost=cost)
    plan = plan_of(pool, policy)
    assert sum(2 * (e.total_params_b or 0) for e in plan.pool.experts) <= hosting
    assert plan.cost <= cost * (1 + 1e-9)
    found = COE.route(about(category), pool, policy)
    assert {c.expert for c in found.candidates} == set(plan.pool.names)
    assert len(found.chosen) == 1  # the budget is for one expert a prompt
    assert found.reserve == ()


def test_no_substitute_is_one_that_is_not_hosted(pool: Pool) -> None:
    found = COE.route(about(2), pool, Policy(hosting_gb=6.0, comparable=0.0))
    names = {"a", "b"}
    assert {c.expert for c in found.candidates} == names
    assert {*found.chosen, *found.reserve} == names


def test_an_infeasible_budget_is_refused(pool: Pool) -> None:
    least = plan_of(pool, Policy(mean_cost=1.001 * cheapest(pool))).cost
    told = f"smallest mean_cost that can be met is {least:g}"
    with pytest.raises(ConfigurationError, match=told):
        COE.route(about(0), pool, Policy(mean_cost=0.9 * least))
    with pytest.raises(ConfigurationError, match="smallest hosting_gb that can be met is 2"):
        COE.route(about(0), pool, Policy(hosting_gb=1.0))


def test_the_frontier_rises_with_the_budget(pool: Pool) -> None:
    budgets = [times * cheapest(pool) for times in (1.001, 1.5, 2, 3, 4.5)]
    points = frontier(pool, Policy(), budgets)
    assert [p.accuracy for p in points] == sorted(p.accuracy for p in points)
    assert all(p.cost <= b * (1 + 1e-9) for p, b in zip(points, budgets, strict=True))
    assert points[0].mapping == dict.fromkeys(rates_of(pool).categories, "a")
    unbounded = plan_of(pool, Policy())
    assert points[-1].accuracy == pytest.approx(unbounded.accuracy)
    for i, name in enumerate(ABC):
        assert unbounded.mapping[f"category-{i}"] == name


def test_a_plan_is_solved_once(pool: Pool) -> None:
    again, policy = Pool(pool.experts, pool.knowledge), Policy(mean_cost=2 * cheapest(pool))
    assert plan_of(pool, policy) is plan_of(again, policy)
    assert classifier_of(pool.knowledge) is classifier_of(again.knowledge)


def test_no_category_label_reaches_a_decision(make_memory: Memories, make_pool: Pools) -> None:
    """Routes are equal for equal embeddings, whatever the question is called or says."""
    pool = make_pool(make_memory(), ABC)
    a, b = about(1), replace(about(1), text="category-0")
    assert COE.route(a, pool, Policy()) == COE.route(b, pool, Policy())
