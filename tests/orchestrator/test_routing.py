"""Routing decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import UnknownModel
from coterie.types import Estimate, Expert, ExpertKind, Profile, SkillWeight
from orchestrator.routing import STRATEGIES, Policy, Pool, Query, load_router
from orchestrator.routing.base import expected_success
from skills.knowledge import Knowledge

SQL = Query((SkillWeight("sql", 1.0, 0.8),))


def expert(name: str, **fields: float) -> Expert:
    return Expert(name, ExpertKind.OPENAI, name, endpoint="http://127.0.0.1:1", **fields)  # type: ignore[arg-type]


def profile(name: str, overall: float, **skills: float) -> Profile:
    rates = {skill: Estimate(mean, 0.05, 20) for skill, mean in skills.items()}
    return Profile(name, Estimate(overall, 0.03, 100), rates)


def pool(*profiles: Profile) -> Pool:
    return Pool([expert(p.expert) for p in profiles], Knowledge.of(profiles))


def test_the_expert_of_the_skill_is_asked_alone_when_sure() -> None:
    found = load_router("symbolic").route(
        SQL, pool(profile("a", 0.8, sql=0.3), profile("b", 0.2, sql=0.95)), Policy()
    )
    assert found.chosen == ("b",)
    assert found.reserve == ()
    assert "b" in found.reason
    assert "sql 0.95" in found.candidates[0].reason


def test_nobody_is_asked_who_could_not_change_the_answer() -> None:
    found = load_router("symbolic").route(
        SQL, pool(profile("a", 0.5, sql=0.7), profile("b", 0.5, sql=0.1)), Policy()
    )
    assert found.chosen == ("a",)
    assert [c.expert for c in found.candidates] == ["a", "b"]


def test_comparable_experts_vote_and_the_rest_of_them_wait() -> None:
    group = [
        profile(n, 0.5, sql=p) for n, p in zip("abcde", (0.7, 0.68, 0.66, 0.64, 0.1), strict=True)
    ]
    found = load_router("symbolic").route(SQL, pool(*group), Policy(first=3))
    assert found.chosen == ("a", "b", "c")
    assert found.reserve == ("d",)


def test_ties_go_to_the_cheaper_then_to_the_name() -> None:
    experts = [
        expert("z", prompt_price=1.0),
        expert("b", prompt_price=2.0),
        expert("a", prompt_price=2.0),
    ]
    known = Knowledge.of(profile(e.name, 0.5, sql=0.6) for e in experts)
    found = load_router("symbolic").route(SQL, Pool(experts, known), Policy())
    assert [c.expert for c in found.candidates] == ["z", "a", "b"]


def test_an_expert_without_profile_is_uncertain_and_said_to_be() -> None:
    found = load_router("symbolic").route(SQL, Pool([expert("new")], Knowledge()), Policy())
    assert found.chosen == ("new",)
    assert found.candidates[0].score == 0.5
    assert "no profile" in found.candidates[0].reason


def test_a_mixed_question_is_a_mixture_of_rates() -> None:
    skills = (SkillWeight("sql", 0.75, 0.5), SkillWeight("law", 0.25, 0.4))
    table = pool(profile("a", 0.5, sql=0.8, law=0.4)).table
    mean, sd = expected_success(skills, table)
    assert mean == pytest.approx([0.7])
    assert 0 < sd[0] < 0.05


def test_the_best_single_expert_ignores_the_question() -> None:
    found = load_router("best-single").route(
        SQL, pool(profile("a", 0.8, sql=0.1), profile("b", 0.2, sql=0.9)), Policy()
    )
    assert found.chosen == ("a",)


def test_the_majority_asks_everyone_within_the_limit() -> None:
    group = [profile(n, 0.5, sql=0.5) for n in "abcdefg"]
    assert len(load_router("majority").route(SQL, pool(*group), Policy(most=5)).chosen) == 5


def test_random_is_drawn_from_the_seed() -> None:
    group = pool(*[profile(n, 0.5) for n in "abcdef"])
    router = load_router("random")
    drawn = {router.route(SQL, group, Policy(seed=s)).chosen for s in range(40)}
    assert len(drawn) > 3
    assert router.route(SQL, group, Policy(seed=7)) == router.route(SQL, group, Policy(seed=7))


def test_an_unknown_strategy_names_the_known() -> None:
    with pytest.raises(UnknownModel, match="symbolic"):
        load_router("oracle")


rates = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(rates, st.sampled_from(sorted(STRATEGIES)), st.integers(1, 4), st.integers(4, 8))
def test_every_route_is_sound(means: list[float], name: str, first: int, most: int) -> None:
    group = [profile(f"e{i}", m, sql=m) for i, m in enumerate(means)]
    policy = Policy(first=first, most=most)
    found = load_router(name).route(SQL, pool(*group), policy)
    assert found == load_router(name).route(SQL, pool(*reversed(group)), policy)
    assert found.chosen
    assert len(found.chosen) + len(found.reserve) <= most
    assert not set(found.chosen) & set(found.reserve)
    assert {c.expert for c in found.candidates} == {p.expert for p in group}
    assert len(set(found.chosen)) == len(found.chosen)
