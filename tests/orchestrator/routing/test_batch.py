"""Routing by the million: the experts of the online ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.types import Estimate, Expert, ExpertKind, Profile, SkillWeight
from orchestrator.routing import Pool, Query
from orchestrator.routing.base import rank
from orchestrator.routing.batch import CHUNK, padded, route_batch
from skills.knowledge import Knowledge

SKILLS = [f"s{i}" for i in range(6)]


def a_pool(rng: np.random.Generator, experts: int) -> Pool:
    """Rates and prices in few steps, so that ties are frequent; not every skill was graded."""
    made, profiles = [], []
    for i in range(experts):
        name = f"e{i:02}"
        price = float(rng.integers(0, 3))
        endpoint = f"http://127.0.0.1:1/{i}"
        made.append(Expert(name, ExpertKind.OPENAI, name, endpoint=endpoint, prompt_price=price))
        graded = [s for s in SKILLS if rng.random() < 0.8]
        rates = {s: Estimate(int(rng.integers(0, 5)) / 4, 0.1, 9) for s in graded}
        profiles.append(Profile(name, Estimate(int(rng.integers(0, 5)) / 4, 0.1, 9), rates))
    return Pool(made, Knowledge.of(profiles))


def some_skills(rng: np.random.Generator) -> tuple[SkillWeight, ...]:
    picked = rng.choice([*SKILLS, "never graded"], int(rng.integers(0, 4)), replace=False)
    if not len(picked):
        return ()
    shares = rng.dirichlet(np.ones(len(picked)))
    return tuple(SkillWeight(str(s), float(w), 0.5) for s, w in zip(picked, shares, strict=True))


@settings(deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 70), st.integers(1, 8))
def test_the_same_experts_as_one_by_one_ties_included(seed: int, experts: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    pool = a_pool(rng, experts)
    questions = [some_skills(rng) for _ in range(12)]
    rows, weights = padded(questions, pool.table)
    found = route_batch(rows, weights, pool.table, k, thrift=pool.thrift)
    assert found.shape == (12, min(k, experts))
    for skills, chosen in zip(questions, found, strict=True):
        assert chosen.tolist() == list(rank(Query(skills), pool).columns[:k])


def test_chunks_join_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    pool = a_pool(rng, 5)
    rows = rng.integers(0, len(pool.table.mean), size=(2 * CHUNK + 7, 3))
    weights = rng.dirichlet(np.ones(3), len(rows))
    whole = route_batch(rows, weights, pool.table, 2)
    for part in (slice(0, 10), slice(CHUNK - 3, CHUNK + 3), slice(2 * CHUNK, None)):
        alone = route_batch(rows[part], weights[part], pool.table, 2)
        assert whole[part].tolist() == alone.tolist()


def test_no_questions_need_no_experts() -> None:
    pool = a_pool(np.random.default_rng(0), 3)
    rows, weights = padded([], pool.table)
    assert route_batch(rows, weights, pool.table, 2).shape == (0, 2)


def test_rows_the_table_does_not_have_are_refused() -> None:
    pool = a_pool(np.random.default_rng(0), 3)
    with pytest.raises(ValueError, match="rows of the table"):
        route_batch(np.array([[99]]), np.array([[1.0]]), pool.table, 2)
    with pytest.raises(ValueError, match=r"\(q, s\)"):
        route_batch(np.array([[0]]), np.array([1.0]), pool.table, 2)
