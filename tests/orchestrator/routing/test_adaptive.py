"""Adaptive k: what further votes are worth, and when nobody further is asked."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.base import Case
from aggregator.vote import Weighted
from coterie.types import Ballot
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.routing.base import chances
from orchestrator.routing.gain import gain
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import SQL, expert, pool, profile

router = load_router("adaptive")
CHOICE = Query(SQL.skills, SQL.text, options=4)


def group(**rates: float) -> Pool:
    return pool(*[profile(n, p, sql=p) for n, p in rates.items()])


def recruits(found: Pool, policy: Policy, **answers: str) -> tuple[str, ...]:
    """Who is asked after these answers, in their order."""
    route = router.route(CHOICE, found, policy)
    ballots = tuple(Ballot(e, a or None) for e, a in answers.items())
    verdict = Weighted().judge(Case(ballots, chances(route), 4))
    return router.recruit(CHOICE, found, policy, route, ballots, verdict, list(answers))


def test_the_best_is_asked_first_and_others_wait() -> None:
    found = router.route(CHOICE, group(a=0.6, b=0.58, c=0.55), Policy())
    assert (found.chosen, found.reserve) == (("a",), ("b", "c"))


def test_disagreement_recruits_and_agreement_does_not() -> None:
    three = group(a=0.7, b=0.65, c=0.6)
    assert recruits(three, Policy(), a="A", b="B") == ("c",)
    assert recruits(three, Policy(), a="A", b="A") == ()


def test_no_further_expert_is_a_choice_and_is_named() -> None:
    found = router.route(CHOICE, group(a=0.97, b=0.3, c=0.3), Policy())
    assert (found.chosen, found.reserve) == (("a",), ())
    assert "no further expert" in found.reason


def test_what_costs_more_than_it_gains_is_not_asked() -> None:
    experts = [expert(n, active_params_b=8.0) for n in "abc"]
    known = Knowledge.of(
        profile(n, p, sql=p) for n, p in zip("abc", (0.6, 0.58, 0.55), strict=True)
    )
    three = Pool(experts, known)
    assert recruits(three, Policy(), a="A") == ("b",)
    assert recruits(three, Policy(cost_weight=0.01), a="A") == ("b",)
    assert recruits(three, Policy(cost_weight=0.5), a="A") == ()


def test_an_answer_that_cannot_be_read_is_no_answer() -> None:
    assert recruits(group(a=0.7, b=0.65, c=0.6), Policy(), a="") == ("b",)


def test_nobody_is_asked_beyond_the_limit() -> None:
    assert recruits(group(a=0.6, b=0.58, c=0.55), Policy(most=2), a="A", b="B") == ()


def test_harder_questions_get_more_experts() -> None:
    def asked(rate: float) -> float:
        names = "abcde"
        found = group(**dict.fromkeys(names, rate))
        rng, total = np.random.default_rng(0), 0
        for _ in range(60):
            said: dict[str, str] = {}
            more: tuple[str, ...] = ("a",)
            while more:
                right = rng.random() < rate
                said[more[0]] = "A" if right else str(rng.choice(["B", "C", "D"]))
                more = recruits(found, Policy(), **said)
            total += len(said)
        return total / 60

    assert asked(0.9) < asked(0.5)


# --- the gain itself ----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.01, 1.0), min_size=0, max_size=3),
    st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3),
    st.integers(3, 5),
)
def test_the_gain_is_what_enumerating_every_vote_gives(
    raw: list[float], voters: list[float], answers: int
) -> None:
    belief = [b / (sum(raw) + 0.2) for b in raw]
    unseen = answers - len(belief)
    spread = (1 - sum(belief)) / unseen if unseen else 0.0
    prior = [*belief, *[spread] * unseen]
    total = 0.0
    for votes in itertools.product(range(answers), repeat=len(voters)):
        joint = [
            p
            * np.prod(
                [
                    v if vote == a else (1 - v) / (answers - 1)
                    for v, vote in zip(voters, votes, strict=True)
                ]
            )
            for a, p in enumerate(prior)
        ]
        total += max(joint)
    assert gain(belief, voters, answers) == pytest.approx(total - max(prior), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.3, 0.95), st.lists(st.floats(0.2, 0.95), min_size=1, max_size=3))
def test_more_votes_never_hurt_in_expectation(leader: float, voters: list[float]) -> None:
    gains = [gain([leader], voters[: j + 1], 10) for j in range(len(voters))]
    assert all(g >= -1e-12 for g in gains)
    assert gains == sorted(gains) or np.allclose(gains, sorted(gains))


def test_one_weaker_vote_can_never_change_the_answer_but_two_can() -> None:
    assert gain([0.6], [0.5], 10) == pytest.approx(0.0)
    assert gain([0.6], [0.5, 0.5], 10) > 0.01
