"""Where costs count, nobody is asked whose vote is not worth its cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.base import Case
from aggregator.vote import Weighted
from coterie.types import Ballot, Route, Verdict
from orchestrator.routing import Policy, Pool, Query, Router, chances, load_router
from orchestrator.routing.worth import kept_of
from skills.knowledge import Knowledge
from skills.memory import Memory
from tests.orchestrator.routing.routing_worlds import (
    LETTERS,
    expert,
    memory,
    profiles_of,
    question,
    world,
)

NAMES = ("symbolic", "regression", "neighbours", "instruction")
WEIGHTS = (0.0, 0.02, 0.1, 0.4, 2.0)


def alike(n: int = 400) -> Memory:
    """Five experts, equally good, whose errors have nothing to do with each other."""
    return memory(dict.fromkeys("abcde", (0.6, 0.6, 0.6)), n)


def echoed(n: int = 400) -> Memory:
    """The same, but all of them say what the first one says."""
    remembered = alike(n)
    for column in range(1, 5):
        remembered.correct[:, column] = remembered.correct[:, 0]
        remembered.answers[:, column] = remembered.answers[:, 0]
    return remembered


def pool(remembered: Memory) -> Pool:
    known = Knowledge.of(profiles_of(remembered), memory=remembered)
    return Pool([expert(name, active_params_b=8.0) for name in remembered.experts], known)


def asked_in_all(router: Router, query: Query, pool: Pool, policy: Policy) -> list[str]:
    """Everyone who is asked, where nobody agrees with anybody."""
    route = router.route(query, pool, policy)
    asked, waiting = list[str](), route.chosen
    while waiting:
        asked += waiting
        ballots, verdict = heard(route, asked)
        waiting = router.recruit(query, pool, policy, route, ballots, verdict, asked)
    return asked


def heard(route: Route, asked: list[str]) -> tuple[tuple[Ballot, ...], Verdict]:
    ballots = tuple(Ballot(n, LETTERS[i % len(LETTERS)]) for i, n in enumerate(asked))
    return ballots, Weighted().judge(Case(ballots, chances(route), len(LETTERS)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5), n=st.integers(1, 8), i=st.integers(0, 30))
def test_without_a_cost_weight_the_reserve_follows_as_it_always_did(
    name: str, seed: int, n: int, i: int
) -> None:
    experts, knowledge = world(seed, n)
    found, query, policy = Pool(experts, knowledge), question(i), Policy(first=3, most=5)
    router = load_router(name)
    route = router.route(query, found, policy)
    ballots, verdict = heard(route, list(route.chosen))
    said = (query, found, policy, route, ballots, verdict, route.chosen)
    assert router.recruit(*said) == Router.recruit(router, *said)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("i", range(3))
def test_the_more_cost_counts_the_fewer_are_asked(name: str, i: int) -> None:
    found, router = pool(alike()), load_router(name)
    calls = [len(asked_in_all(router, question(i), found, Policy(cost_weight=w))) for w in WEIGHTS]
    assert calls == sorted(calls, reverse=True)
    assert calls[0] > 1 == calls[-1]


@pytest.mark.parametrize("name", NAMES)
def test_who_is_alone_because_votes_cost_too_much_is_said_to_be(name: str) -> None:
    route = load_router(name).route(question(0), pool(alike()), Policy(cost_weight=0.4))
    assert len(route.chosen) == 1
    assert route.reserve == ()
    assert "no vote is worth what it costs" in route.reason


def test_a_vote_of_echoes_keeps_nothing_of_its_promise() -> None:
    assert kept_of(pool(echoed())) == 0.0
    calls = asked_in_all(
        load_router("symbolic"), question(0), pool(echoed()), Policy(cost_weight=0.001)
    )
    assert len(calls) == 1


def test_a_vote_of_independent_experts_keeps_most_of_it() -> None:
    assert kept_of(pool(alike(2000))) > 0.6


def test_without_enough_questions_promises_are_believed() -> None:
    assert kept_of(pool(echoed(60))) == 1.0
    spoiled = echoed()
    spoiled.correct[:, 1:] = np.nan
    assert kept_of(pool(spoiled)) == 1.0
