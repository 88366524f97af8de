"""Symbolic routing: one if sure, else the comparable few, as different as they come."""

from dataclasses import replace

import numpy as np
import pytest

from coterie.types import SkillWeight
from orchestrator.routing import Policy, Pool, load_router
from orchestrator.routing.base import expected_success
from orchestrator.routing.diversity import correlations
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import SQL, expert, memory, pool, profile

route = load_router("symbolic").route


def test_the_expert_of_the_skill_is_asked_alone_when_sure() -> None:
    found = route(SQL, pool(profile("a", 0.8, sql=0.3), profile("b", 0.2, sql=0.95)), Policy())
    assert found.chosen == ("b",)
    assert found.reserve == ()
    assert "b" in found.reason
    assert "sql 0.95" in found.candidates[0].reason


def test_who_is_sure_alone_keeps_nobody_waiting() -> None:
    found = route(SQL, pool(profile("a", 0.8, sql=0.95), profile("b", 0.2, sql=0.94)), Policy())
    assert (found.chosen, found.reserve) == (("a",), ())


def test_nobody_is_asked_who_could_not_change_the_answer() -> None:
    found = route(SQL, pool(profile("a", 0.5, sql=0.7), profile("b", 0.5, sql=0.1)), Policy())
    assert found.chosen == ("a",)
    assert [c.expert for c in found.candidates] == ["a", "b"]


def test_comparable_experts_vote_and_the_rest_of_them_wait() -> None:
    group = [
        profile(n, 0.5, sql=p) for n, p in zip("abcde", (0.7, 0.68, 0.66, 0.64, 0.1), strict=True)
    ]
    found = route(SQL, pool(*group), Policy(first=3))
    assert found.chosen == ("a", "b", "c")
    assert found.reserve == ("d",)


def test_ties_go_to_the_cheaper_then_to_the_name() -> None:
    experts = [
        expert("z", prompt_price=1.0),
        expert("b", prompt_price=2.0),
        expert("a", prompt_price=2.0),
    ]
    known = Knowledge.of(profile(e.name, 0.5, sql=0.6) for e in experts)
    found = route(SQL, Pool(experts, known), Policy())
    assert [c.expert for c in found.candidates] == ["z", "a", "b"]


def test_an_expert_without_profile_is_uncertain_and_said_to_be() -> None:
    found = route(SQL, Pool([expert("new")], Knowledge()), Policy())
    assert found.chosen == ("new",)
    assert found.candidates[0].score == 0.5
    assert "no profile" in found.candidates[0].reason


def test_a_mixed_question_is_a_mixture_of_rates() -> None:
    skills = (SkillWeight("sql", 0.75, 0.5), SkillWeight("law", 0.25, 0.4))
    table = pool(profile("a", 0.5, sql=0.8, law=0.4)).table
    mean, sd = expected_success(skills, table)
    assert mean == pytest.approx([0.7])
    assert 0 < sd[0] < 0.05


# --- diversity of errors ------------------------------------------------------------------------


def twins() -> Pool:
    """a and its twin are right and wrong together; b is nearly as good, and on its own."""
    remembered = memory(dict.fromkeys(("a", "b", "twin"), (0.6, 0.6, 0.6)), 400)
    correct = remembered.correct.copy()
    correct[:, 2] = correct[:, 0]
    known = Knowledge.of(
        [profile("a", 0.6, sql=0.62), profile("twin", 0.6, sql=0.61), profile("b", 0.6, sql=0.60)],
        memory=replace(remembered, correct=correct),
    )
    return Pool([expert(n) for n in ("a", "b", "twin")], known)


def test_of_two_about_as_good_the_one_that_errs_differently_is_recruited() -> None:
    found = route(SQL, twins(), Policy(first=2))
    assert found.chosen == ("a", "b")
    assert found.reserve == ("twin",)
    told = found.candidates[2]
    assert "errs with a" in told.reason
    assert sum(term.value for term in told.terms) == pytest.approx(told.score)
    assert told.success == pytest.approx(0.61)


def test_diversity_never_outweighs_a_clear_difference_in_competence() -> None:
    group = twins()
    known = Knowledge.of(
        [profile("a", 0.6, sql=0.7), profile("twin", 0.6, sql=0.69), profile("b", 0.6, sql=0.6)],
        memory=group.knowledge.memory,
    )
    assert route(SQL, Pool(group.experts, known), Policy(first=2)).chosen == ("a", "twin")


def test_without_remembered_answers_the_best_are_recruited() -> None:
    group = twins()
    known = Knowledge.of(group.knowledge.profiles.values())
    assert correlations(Pool(group.experts, known)) is None
    assert route(SQL, Pool(group.experts, known), Policy(first=2)).chosen == ("a", "twin")


def test_the_chances_are_what_they_were_before_diversity() -> None:
    chances = {c.expert: c.success for c in route(SQL, twins(), Policy(first=2)).candidates}
    assert chances == pytest.approx({"a": 0.62, "b": 0.6, "twin": 0.61})
    assert np.isfinite(list(chances.values())).all()
