"""Symbolic routing: one if sure, else the comparable few, as different as they come."""

from dataclasses import replace

import numpy as np
import pytest

from coterie.types import SkillWeight
from orchestrator.routing import Policy, Pool, load_router
from orchestrator.routing.base import expected_success
from orchestrator.routing.committees import committees
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import (
    SQL,
    expert,
    memory,
    pool,
    profile,
    profiles_of,
)

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


# --- committees ---------------------------------------------------------------------------------


def twins(n: int = 600, **overrides: float) -> Pool:
    """a, b and c make the same mistakes; d and e, nearly as good, make their own."""
    names = "abcde"
    remembered = memory(dict.fromkeys(names, (0.6, 0.6, 0.6)), n)
    correct, answers = remembered.correct.copy(), remembered.answers.copy()
    correct[:, 1:3], answers[:, 1:3] = correct[:, :1], answers[:, :1]
    rates = {"a": 0.62, "b": 0.61, "c": 0.61, "d": 0.6, "e": 0.6, **overrides}
    known = Knowledge.of(
        [profile(n, 0.6, sql=p) for n, p in rates.items()],
        memory=replace(remembered, correct=correct, answers=answers),
    )
    return Pool([expert(n) for n in names], known)


def test_those_vote_who_do_not_make_the_same_mistakes() -> None:
    found = route(SQL, twins(), Policy(first=3))
    assert len({"a", "b", "c"} & set(found.chosen)) == 1
    assert {"d", "e"} < set(found.chosen)
    assert "vote best together" in found.reason
    assert set(found.reserve) == {"a", "b", "c"} - set(found.chosen)


def test_a_committee_is_as_good_as_its_vote_was() -> None:
    group = twins()
    found = committees(group, 3)
    assert found is not None
    by_members = {
        frozenset(m): a for m, a in zip(found.members.tolist(), found.accuracy, strict=True)
    }
    assert by_members[frozenset({0, 3, 4})] > by_members[frozenset({0, 1, 2})] + 0.03
    assert by_members[frozenset({0, 1, 2})] == pytest.approx(0.6, abs=0.05)


def test_who_is_good_at_this_question_is_worth_more_on_the_committee() -> None:
    group = twins()
    found = committees(group, 3)
    assert found is not None
    plain = found.values(np.full(5, 0.6))
    better = found.values(np.array([0.6, 0.6, 0.6, 0.9, 0.6]))
    has_d = (found.members == 3).any(axis=1)
    assert (better[has_d] >= plain[has_d]).all()
    assert better[~has_d] == pytest.approx(plain[~has_d])


def test_specialists_are_called_where_their_advantage_was_seen_to_count() -> None:
    competence = {
        "law": (0.9, 0.2, 0.2),
        "maths": (0.2, 0.9, 0.2),
        "sql": (0.2, 0.2, 0.9),
        "x": (0.45, 0.45, 0.45),
        "y": (0.45, 0.45, 0.45),
    }
    remembered = memory(competence, 900)
    group = Pool(
        [expert(n) for n in competence],
        Knowledge.of(profiles_of(remembered), memory=remembered),
    )
    found = committees(group, 3)
    assert found is not None
    assert found.slope > 0.1
    column = group.names.index("sql")
    table = group.table
    values = found.values(table.mean[table.rows["sql"]])
    assert column in found.members[int(np.argmax(values))]


def test_few_answers_tell_no_committees_apart() -> None:
    group = twins(40)
    assert committees(group, 3) is None
    assert route(SQL, group, Policy(first=3)).chosen == ("a", "b", "c")


def test_an_expert_nobody_remembers_is_recruited_by_its_profile() -> None:
    group = twins()
    known = Knowledge.of(
        [*group.knowledge.profiles.values(), profile("new", 0.6, sql=0.65)],
        memory=group.knowledge.memory,
    )
    found = route(SQL, Pool([*group.experts, expert("new")], known), Policy(first=3))
    assert found.chosen[0] == "new"


def test_a_cost_weight_makes_for_cheaper_committees() -> None:
    group = twins()
    sizes = {"a": 70.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 1.0}
    sized = Pool([expert(n, active_params_b=b) for n, b in sizes.items()], group.knowledge)
    assert "a" not in route(SQL, sized, Policy(first=3, cost_weight=0.05)).chosen
