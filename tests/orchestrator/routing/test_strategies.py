"""What holds for every strategy there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.base import Case
from aggregator.vote import Weighted
from coterie.errors import RequestError, UnknownModel
from coterie.types import Ballot, Route
from orchestrator.routing import (
    DEFAULT_STRATEGY,
    OFFERED,
    ORACLE,
    STRATEGIES,
    Policy,
    Pool,
    chances,
    load_router,
)
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import (
    LETTERS,
    SQL,
    expert,
    question,
    raised,
    world,
)

MONOTONE = sorted(
    set(OFFERED) - {"symbolic-paper", "random", "static-mix"}  # these draw lots
)

seeds = st.integers(0, 5)
sizes = st.integers(1, 8)
questions = st.integers(0, 30).map(question)
policies = st.builds(
    Policy,
    first=st.integers(1, 4),
    most=st.integers(1, 6),
    seed=st.integers(0, 3),
    cost_weight=st.sampled_from([0.0, 0.05, 0.5]),
    latency_s=st.sampled_from([None, 0.1, 1.5, 3.0]),
    k=st.integers(1, 5),
)
few = settings(max_examples=15, deadline=None)


def pool_of(seed: int, n: int, **fields: object) -> Pool:
    experts, knowledge = world(seed, n)
    return Pool(experts, knowledge, **fields)


def played(name: str, route: Route, pool: Pool, policy: Policy, query: Any) -> list[str]:
    """Who is asked in the end, if everybody answers something of his own."""
    router, asked = load_router(route.strategy), list(route.chosen)
    while True:
        ballots = tuple(Ballot(e, LETTERS[i % len(LETTERS)]) for i, e in enumerate(asked))
        verdict = Weighted().judge(Case(ballots, chances(route), len(LETTERS)))
        more = router.recruit(query, pool, policy, route, ballots, verdict, asked)
        if not more:
            return asked
        asked += more


@pytest.mark.parametrize("name", OFFERED)
@few
@given(seeds, sizes, questions, policies)
def test_a_route_is_sound(name: str, seed: int, n: int, query: Any, policy: Policy) -> None:
    pool = pool_of(seed, n)
    found = load_router(name).route(query, pool, policy)
    assert found.chosen
    assert found.reason
    assert found.snapshot == f"world {seed}"
    assert len(found.chosen) + len(found.reserve) <= policy.most
    asked = played(name, found, pool, policy, query)
    assert len(asked) == len(set(asked)) <= policy.most
    assert {c.expert for c in found.candidates} == set(pool.names)


@pytest.mark.parametrize("name", OFFERED)
@few
@given(seeds, sizes, questions, policies)
def test_neither_the_order_of_experts_nor_the_time_of_asking_matters(
    name: str, seed: int, n: int, query: Any, policy: Policy
) -> None:
    experts, knowledge = world(seed, n)
    router = load_router(name)
    found = router.route(query, Pool(experts, knowledge), policy)
    assert found == router.route(query, Pool(experts[::-1], knowledge), policy)
    assert found == load_router(name).route(query, Pool(experts, knowledge), policy)


@pytest.mark.parametrize("name", OFFERED)
@few
@given(
    seeds,
    sizes,
    questions,
    policies,
    st.dictionaries(st.sampled_from(["e0", "e1"]), st.integers(0, 9)),
)
def test_explanations_add_up_to_the_scores(
    name: str, seed: int, n: int, query: Any, policy: Policy, load: dict[str, int]
) -> None:
    found = load_router(name).route(query, pool_of(seed, n, load=load), policy)
    for candidate in found.candidates:
        assert sum(t.value for t in candidate.terms) == pytest.approx(candidate.score, abs=1e-9)
        assert 0 <= candidate.success <= 1
        assert candidate.reason
    assert chances(found) == {c.expert: c.success for c in found.candidates}


@pytest.mark.parametrize("name", OFFERED)
@few
@given(seeds, sizes, questions, policies)
def test_nobody_too_slow_is_asked_while_somebody_is_fast_enough(
    name: str, seed: int, n: int, query: Any, policy: Policy
) -> None:
    pool = pool_of(seed, n)
    slow = pool.costs.too_slow(policy.latency_s)
    found = load_router(name).route(query, pool, policy)
    if slow is not None:
        late = {e for e, is_slow in zip(pool.names, slow, strict=True) if is_slow}
        assert not late & {*found.chosen, *found.reserve}


@pytest.mark.parametrize("name", MONOTONE)
@settings(max_examples=8, deadline=None)  # a cascade learns anew for every example
@given(seeds, sizes, questions, st.floats(0.0, 0.5), st.integers(1, 4))
def test_who_is_thought_better_of_is_still_asked(
    name: str, seed: int, n: int, query: Any, by: float, first: int
) -> None:
    experts, knowledge = world(seed, n)
    policy = Policy(first=first)
    before = load_router(name).route(query, Pool(experts, knowledge), policy)
    for chosen in before.chosen:
        better = Pool(experts, raised(knowledge, chosen, by))
        assert chosen in load_router(name).route(query, better, policy).chosen


@pytest.mark.parametrize("name", OFFERED)
def test_a_batch_is_planned_as_its_questions_are_routed(name: str) -> None:
    pool, router, policy = pool_of(1, 5), load_router(name), Policy()
    queries = [question(i) for i in range(6)]
    planned = router.plan(queries, pool, policy)
    assert len(planned) == len(queries)
    if name != "symbolic-paper":  # which looks at the batch as one
        assert planned == [router.route(q, pool, policy) for q in queries]


@pytest.mark.parametrize("name", OFFERED)
def test_a_single_expert_nobody_knows_is_asked(name: str) -> None:
    found = load_router(name).route(SQL, Pool([expert("new")], Knowledge()), Policy())
    assert found.chosen == ("new",)


def test_an_unknown_strategy_names_the_known() -> None:
    with pytest.raises(UnknownModel, match=r"adaptive.*symbolic"):
        load_router("clairvoyant")


def test_the_oracle_refuses_to_route_and_says_where_it_can_be_had() -> None:
    with pytest.raises(RequestError, match="coterie eval replay"):
        load_router(ORACLE).route(SQL, pool_of(0, 2), Policy())


def test_what_is_offered_leaves_out_old_names_and_the_oracle() -> None:
    assert DEFAULT_STRATEGY in OFFERED
    assert set(STRATEGIES) - set(OFFERED) == {"majority", ORACLE}
    assert load_router("majority").name == "all"
