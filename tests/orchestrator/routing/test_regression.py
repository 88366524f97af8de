"""Routing by the regression, and what votes are told of a question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.types import Route, SkillWeight
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.base import chances, rank
from orchestrator.routing.outlook import outlook, regression_of
from skills.memory import Memory

REGRESSION, SYMBOLIC = load_router("regression"), load_router("symbolic")
ABC = ("a", "b", "c")
Memories, Pools = Callable[..., Memory], Callable[..., Pool]


def about(category: int) -> Query:
    return Query(vector=np.eye(8, dtype=np.float32)[category])


@pytest.fixture(scope="module")
def pool(make_memory: Memories, make_pool: Pools) -> Pool:
    return make_pool(make_memory(questions=300), ABC)


# --- the router ---------------------------------------------------------------------------------


def test_whoever_knows_the_subject_comes_first(pool: Pool) -> None:
    for category, name in enumerate(ABC):
        found = REGRESSION.route(about(category), pool, Policy())
        assert found.strategy == "regression"
        assert found.chosen[0] == name
        assert found.candidates[0].success > 0.75
        assert "this subject +" in found.candidates[0].reason


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5]))
def test_explanations_add_up_to_the_scores(pool: Pool, seed: int, cost_weight: float) -> None:
    vector = np.random.default_rng(seed).normal(size=8)
    query = Query(vector=(vector / np.linalg.norm(vector)).astype(np.float32))
    route = REGRESSION.route(query, pool, Policy(cost_weight=cost_weight))
    assert {c.expert for c in route.candidates} == set(ABC)
    for candidate in route.candidates:
        assert sum(term.value for term in candidate.terms) == pytest.approx(candidate.score)
        assert 0 <= candidate.success <= 1


def test_an_expert_nobody_remembers_has_its_overall_rate(
    make_memory: Memories, make_pool: Pools
) -> None:
    pool = make_pool(make_memory(), (*ABC, "new"))
    found = {c.expert: c for c in REGRESSION.route(about(0), pool, Policy()).candidates}
    assert found["new"].success == pytest.approx(float(pool.table.mean[0, 3]))
    assert "this subject +0.00" in found["new"].reason


def no_memory(memory: Memory) -> Memory | None:
    return None


def no_grades(memory: Memory) -> Memory:
    return replace(memory, correct=np.full_like(memory.correct, np.nan))


def as_it_is(memory: Memory) -> Memory:
    return memory


@pytest.mark.parametrize(
    ("change", "query", "why"),
    [
        (no_memory, about(0), "no graded question is remembered"),
        (no_grades, about(0), "no graded question teaches anything"),
        (as_it_is, Query(text="?"), "the question has no embedding"),
        (as_it_is, Query(vector=np.ones(5, np.float32)), "its embedding has 5 numbers"),
    ],
    ids=["no memory", "no grades", "no embedding", "another embedding"],
)
def test_where_nothing_can_be_compared_the_skills_decide(
    make_memory: Memories,
    make_pool: Pools,
    change: Callable[[Memory], Memory | None],
    query: Query,
    why: str,
) -> None:
    query = replace(query, skills=(SkillWeight("skill-0", 1.0, 0.8),))
    pool = make_pool(change(make_memory()), ABC)
    found = REGRESSION.route(query, pool, Policy())
    assert found.reason.startswith(f"by skills, since {why}")
    assert found.strategy == "regression"
    assert found.candidates == rank(query, pool)
    known = outlook(query, pool, found)
    assert known.chances == chances(found)
    assert known.context is None


def test_the_order_of_experts_changes_nothing(pool: Pool) -> None:
    other = Pool(pool.experts[::-1], pool.knowledge)
    for category in range(3):
        before, after = (REGRESSION.route(about(category), p, Policy()) for p in (pool, other))
        assert before == after


def test_it_is_fitted_once_and_before_the_first_question(
    make_memory: Memories, make_pool: Pools
) -> None:
    pool = make_pool(make_memory(), ABC)
    REGRESSION.prepare(pool, Policy())
    fewer = Pool(pool.experts[:2], pool.knowledge)
    kept = pool.knowledge.once(("regression",), lambda: pytest.fail("it was not prepared"))
    assert regression_of(pool) is regression_of(fewer) is kept


# --- the outlook --------------------------------------------------------------------------------


def routed(query: Query, pool: Pool) -> Route:
    return SYMBOLIC.route(query, pool, Policy())


def test_a_vote_is_told_the_same_whoever_chose_the_experts(pool: Pool) -> None:
    fitted = regression_of(pool)
    assert fitted is not None
    query = about(1)
    assert query.vector is not None
    for router in (SYMBOLIC, REGRESSION, load_router("all")):
        known = outlook(query, pool, router.route(query, pool, Policy()))
        expected = fitted.chances(query.vector)
        assert [known.chances[n] for n in fitted.experts] == pytest.approx(expected.tolist())
        assert known.context == pytest.approx(fitted.subject(query.vector))


def test_who_is_missing_from_memory_keeps_the_routes_chance(
    make_memory: Memories, make_pool: Pools
) -> None:
    pool = make_pool(make_memory(), (*ABC, "new"))
    route = routed(about(0), pool)
    known = outlook(about(0), pool, route)
    assert set(known.chances) == {*ABC, "new"}
    assert known.chances["new"] == chances(route)["new"]
    assert known.chances["a"] != chances(route)["a"]


def test_who_is_remembered_but_not_a_candidate_is_not_told_of(pool: Pool) -> None:
    fewer = Pool(pool.experts[:2], pool.knowledge)
    assert set(outlook(about(0), fewer, routed(about(0), fewer)).chances) == {"a", "b"}


def test_an_expert_asked_for_by_name_keeps_the_routes_chance(pool: Pool) -> None:
    route = routed(about(0), pool)
    known = outlook(about(0), None, route)
    assert known.chances == chances(route)
    assert known.context is None
