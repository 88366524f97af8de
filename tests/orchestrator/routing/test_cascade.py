"""Cascades climb from cheap to dear, as far as they must."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.base import Case
from aggregator.vote import OPEN_ANSWERS, Weighted, answers_given, posteriors
from coterie.types import Ballot, Verdict
from orchestrator.routing import Policy, Pool, load_router
from orchestrator.routing.cascade import Steps, front, learned_steps, shortened
from orchestrator.routing.rehearsal import Stage
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import (
    SQL,
    expert,
    memory,
    pool,
    profile,
    profiles_of,
)

router = load_router("cascade")
SIZES = {"small": 1.0, "middle": 8.0, "large": 70.0}


def climbing(n: int = 900, **competence: tuple[float, float, float]) -> Pool:
    remembered = memory(competence, n)
    known = Knowledge.of(profiles_of(remembered), memory=remembered)
    return Pool([expert(name, active_params_b=SIZES[name]) for name in competence], known)


def sized(**chances: float) -> Pool:
    known = Knowledge.of(profile(n, 0.5, sql=p) for n, p in chances.items())
    return Pool([expert(n, active_params_b=SIZES[n]) for n in chances], known)


def verdict(leader: str, agreement: float) -> Verdict:
    return Verdict(leader, agreement, {"A": (leader,)}, "")


def test_the_cheapest_is_asked_first_and_the_best_last() -> None:
    found = router.route(SQL, sized(small=0.5, middle=0.6, large=0.8), Policy())
    assert found.chosen == ("small",)
    assert found.reserve == ("middle", "large")


def test_nobody_dearer_is_asked_who_is_no_better() -> None:
    found = router.route(SQL, sized(small=0.6, middle=0.5, large=0.8), Policy())
    assert (found.chosen, found.reserve) == (("small",), ("large",))


def test_it_climbs_one_by_one_until_the_vote_is_sure() -> None:
    group = sized(small=0.5, middle=0.6, large=0.8)
    found = router.route(SQL, group, Policy())
    ballots = (Ballot("small", "A"),)
    unsure = router.recruit(SQL, group, Policy(), found, ballots, verdict("small", 0.5), ["small"])
    assert unsure == ("middle",)
    sure = router.recruit(SQL, group, Policy(), found, ballots, verdict("small", 0.95), ["small"])
    assert sure == ()


def test_a_front_keeps_its_best_when_it_is_shortened() -> None:
    assert shortened([4, 2, 7, 1], 3) == [4, 2, 1]
    assert shortened([4, 2], 3) == [4, 2]
    assert shortened([4, 2], 1) == [2]


def test_a_cheap_expert_that_is_as_good_as_any_is_enough() -> None:
    group = climbing(small=(0.8, 0.8, 0.8), large=(0.75, 0.75, 0.75))
    found = router.route(SQL, group, Policy())
    assert (found.chosen, found.reserve) == (("small",), ())


def test_where_the_cheap_are_no_help_the_best_single_expert_is_asked() -> None:
    group = climbing(small=(0.25, 0.25, 0.25), large=(0.8, 0.8, 0.8))
    found = router.route(SQL, group, Policy())
    assert (found.chosen, found.reserve) == (("large",), ())


def test_a_lower_target_is_never_dearer() -> None:
    group = climbing(small=(0.6, 0.4, 0.7), middle=(0.6, 0.7, 0.5), large=(0.85, 0.8, 0.8))
    spent = [played(group, target)[1] for target in (0.8, 0.9, 1.0)]
    assert spent == sorted(spent)
    assert spent[0] < spent[2]


def test_the_target_is_kept_on_other_questions() -> None:
    group = climbing(small=(0.6, 0.4, 0.7), middle=(0.6, 0.7, 0.5), large=(0.85, 0.8, 0.8))
    assert played(group, 1.0)[0] >= 0.8 - 0.03


def played(group: Pool, target: float) -> tuple[float, float]:
    """Accuracy and mean cost of the cascade on questions it was not learned from."""
    policy = Policy(target=target)
    fresh = memory(
        {"small": (0.6, 0.4, 0.7), "middle": (0.6, 0.7, 0.5), "large": (0.85, 0.8, 0.8)},
        900,
        seed=9,
    )
    column, right, cost = {n: i for i, n in enumerate(fresh.experts)}, 0.0, 0.0
    for q, skills in enumerate(fresh.skills):
        query = replace(SQL, skills=skills)
        route = router.route(query, group, policy)
        asked = list(route.chosen)
        while True:
            ballots = tuple(Ballot(e, str(fresh.answers[q, column[e]])) for e in asked)
            chances = {c.expert: c.success for c in route.candidates}
            found = Weighted().judge(Case(ballots, chances, 4))
            more = router.recruit(query, group, policy, route, ballots, found, asked)
            if not more:
                break
            asked += more
        right += fresh.correct[q, column[found.leader or ""]]
        cost += sum(group.costs.expected[group.names.index(e)] for e in asked)
    return right / len(fresh), cost / len(fresh)


def test_few_remembered_questions_teach_nothing() -> None:
    group = climbing(20, small=(0.5, 0.5, 0.5), large=(0.8, 0.8, 0.8))
    assert learned_steps(group, Policy(confidence=0.7)) == Steps(0.0, 5, 0.7)


def test_what_was_not_asked_of_an_expert_does_not_count_against_it() -> None:
    remembered = memory({"small": (0.95, 0.95, 0.95), "large": (0.85, 0.85, 0.85)}, 600)
    correct = remembered.correct.copy()
    correct[300:, remembered.experts.index("small")] = np.nan
    remembered = replace(remembered, correct=correct)
    known = Knowledge.of(profiles_of(remembered), memory=remembered)
    group = Pool([expert(n, active_params_b=SIZES[n]) for n in ("small", "large")], known)
    assert router.route(SQL, group, Policy()).chosen == ("small",)


def test_a_front_is_cheap_first_and_rising() -> None:
    success, thrift = np.array([0.5, 0.4, 0.7, 0.6]), np.array([1, 0, 3, 2])
    everyone = np.ones(4, dtype=bool)
    assert front(success, thrift, everyone, 0.0) == [1, 0, 3, 2]
    assert front(success, thrift, everyone, 0.8) == [3, 2]
    assert front(success, thrift, np.array([True, True, False, True]), 0.0) == [1, 0, 3]


# --- rehearsals ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["A", "B", "C", ""]), min_size=1, max_size=5),
    st.lists(st.floats(0.05, 0.95), min_size=5, max_size=5, unique=True),
    st.sampled_from([0, 3, 4, 10]),
)
def test_a_rehearsed_vote_is_the_vote_that_would_be_taken(
    answers: list[str], chances: list[float], options: int
) -> None:
    names = "abcde"
    one = memory(dict.fromkeys(names, (0.5, 0.5, 0.5)), 1)
    given_ = np.array([[*answers, *["A"] * (5 - len(answers))]])
    correct = (given_ == "A").astype(np.float32)
    one = replace(one, answers=given_, correct=correct, options=np.array([options], dtype=np.int16))
    order = list(range(len(answers)))
    played_ = Stage(one).rehearse([order], np.array([chances]), np.ones(5))
    by_name = dict(zip(names, chances, strict=True))
    for t in range(len(order)):
        ballots = tuple(Ballot(names[i], answers[i] or None) for i in order[: t + 1])
        found = Weighted().judge(Case(ballots, by_name, options))
        if found.leader is None:  # cannot be compared: the asking ends
            assert played_.agreement[0, t] == 1.0
            continue
        assert played_.agreement[0, t] == pytest.approx(found.agreement)
        assert played_.cost[0, t] == t + 1
        tied = sorted(_beliefs(ballots, by_name, options))[-2:]
        if len(tied) < 2 or tied[1] - tied[0] > 1e-9:
            assert played_.right[0, t] == (answers[names.index(found.leader)] == "A")


def _beliefs(ballots: tuple[Ballot, ...], chances: dict[str, float], options: int) -> list[float]:
    found = answers_given(Case(ballots, chances, options))
    if not found:
        return []
    return list(posteriors(found, chances, answers=options or OPEN_ANSWERS).values())


def test_without_memory_the_policy_says_what_is_enough() -> None:
    group = pool(profile("a", 0.5, sql=0.5), profile("b", 0.5, sql=0.95))
    assert router.route(SQL, group, Policy(confidence=0.8)).enough == 0.8
