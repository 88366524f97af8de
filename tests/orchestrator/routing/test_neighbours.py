"""Routing by similar questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.types import Estimate, Profile, SkillWeight
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.base import expected_success, rank
from orchestrator.routing.neighbours import recollection_of, setting_of
from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.neighbours import Kernel, Neighbours
from skills.recall import Recollection

NEIGHBOURS = load_router("neighbours")
ABC = ("a", "b", "c")
Memories, Pools = Callable[..., Memory], Callable[..., Pool]


def about(category: int) -> Query:
    return Query(vector=np.eye(8, dtype=np.float32)[category])


@pytest.fixture(scope="module")
def pool(make_memory: Memories, make_pool: Pools) -> Pool:
    return make_pool(make_memory(questions=300), ABC)


def test_whoever_did_well_on_similar_questions_comes_first(pool: Pool) -> None:
    for category, name in enumerate(ABC):
        found = NEIGHBOURS.route(about(category), pool, Policy())
        assert found.chosen[0] == name
        assert "similar questions" in found.candidates[0].reason


def test_chances_equal_a_naive_reference(make_memory: Memories) -> None:
    memory = make_memory(questions=50)
    kernel, near, strength = Kernel(7, 0.2), 0.8, 3.0
    known = Knowledge.of(
        [Profile(n, Estimate(0.5, 0.1, 9), {"s": Estimate(0.2 + i / 4, 0.1, 9)})
         for i, n in enumerate(ABC)],
        memory=memory,
    )  # fmt: skip
    from skills.evidence import counts_of

    source = Neighbours(memory.vectors, counts_of(memory.correct), kernel, near)
    known.once(("recollection", ABC), lambda: Recollection(strength, source))
    pool = Pool(make_experts(), known)
    query = replace(about(0), skills=(SkillWeight("s", 1.0, 1.0),))
    found = {c.expert: c.score for c in NEIGHBOURS.route(query, pool, Policy()).candidates}
    cosines = [float(v @ query.vector) for v in memory.vectors]
    nearest = sorted(range(50), key=lambda i: -cosines[i])[:7]
    for e, name in enumerate(ABC):
        graded = [i for i in nearest if not np.isnan(memory.correct[i, e])]
        weights = {i: np.exp((cosines[i] - near) / 0.2) for i in graded}
        right = sum(w * memory.correct[i, e] for i, w in weights.items())
        expected = (right + strength * (0.2 + e / 4)) / (sum(weights.values()) + strength)
        assert found[name] == pytest.approx(expected, rel=1e-4)


def make_experts() -> list:
    from coterie.types import Expert, ExpertKind

    return [Expert(n, ExpertKind.OPENAI, n, endpoint=f"http://127.0.0.1:1/{n}") for n in ABC]


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_explanations_add_up_to_the_scores(pool: Pool, seed: int) -> None:
    vector = np.random.default_rng(seed).normal(size=8)
    query = Query(vector=(vector / np.linalg.norm(vector)).astype(np.float32))
    for candidate in NEIGHBOURS.route(query, pool, Policy()).candidates:
        assert sum(term.value for term in candidate.terms) == pytest.approx(candidate.score)
        assert 0 <= candidate.success <= 1


def test_a_question_that_resembles_nothing_falls_back_to_its_skills(pool: Pool) -> None:
    query = Query(vector=-np.full(8, 8**-0.5, dtype=np.float32))
    counts = recollection_of(pool).counts(query.vector)
    prior, _ = expected_success((), pool.table)
    found = NEIGHBOURS.route(query, pool, Policy()).candidates
    if isinstance(setting_of(pool).setting.how, Kernel):
        assert counts[3:].max() < 1
        for candidate in found:
            column = pool.names.index(candidate.expert)
            assert candidate.score == pytest.approx(prior[column], abs=0.2)


def test_without_embedding_the_skills_decide_and_the_reason_says_so(pool: Pool) -> None:
    found = NEIGHBOURS.route(Query(text="?"), pool, Policy())
    assert found.reason.startswith("by skills, since the question has no embedding")
    assert found.candidates == rank(Query(), pool)


def test_without_memory_the_skills_decide(make_pool: Pools) -> None:
    found = NEIGHBOURS.route(about(0), make_pool(None, ABC), Policy())
    assert "no graded question is remembered" in found.reason


def test_an_expert_nobody_remembers_has_its_prior(make_memory: Memories, make_pool: Pools) -> None:
    pool = make_pool(make_memory(), (*ABC, "new"))
    found = {c.expert: c for c in NEIGHBOURS.route(about(0), pool, Policy()).candidates}
    assert found["new"].score == pytest.approx(float(pool.table.mean[0, 3]))
    assert "n=0.0" in found["new"].reason


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(3)), st.integers(0, 2))
def test_the_order_of_experts_changes_nothing(pool: Pool, order: list[int], category: int) -> None:
    other = Pool([pool.experts[i] for i in order], pool.knowledge)
    assert NEIGHBOURS.route(about(category), other, Policy()) == NEIGHBOURS.route(
        about(category), pool, Policy()
    )


@settings(deadline=None)
@given(st.integers(0, 49), st.integers(0, 2))
def test_a_right_answer_never_lowers_a_score(
    make_memory: Memories, make_pool: Pools, question: int, expert: int
) -> None:
    memory = make_memory(questions=50)
    scores = []
    for correct in (0, 1):
        changed = memory.correct.copy()
        changed[question, expert] = correct
        pool = make_pool(replace(memory, correct=changed), ABC)
        from skills.evidence import counts_of

        source = Neighbours(memory.vectors, counts_of(changed), Kernel(10, 0.2), 0.8)
        found = Recollection(5.0, source)
        pool.knowledge.once(("recollection", pool.names), lambda found=found: found)
        route = NEIGHBOURS.route(about(0), pool, Policy())
        scores.append({c.expert: c.score for c in route.candidates}[ABC[expert]])
    assert scores[1] >= scores[0] - 1e-9


def test_the_setting_is_chosen_once_for_all_pools(make_memory: Memories, make_pool: Pools) -> None:
    pool = make_pool(make_memory(), ABC)
    fewer = Pool(pool.experts[:2], pool.knowledge)
    assert setting_of(pool) is setting_of(fewer)
    assert NEIGHBOURS.route(about(1), fewer, Policy()).chosen[0] == "b"
