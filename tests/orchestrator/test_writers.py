"""Who writes a synthesis, and what it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coterie.types import (
    Completion,
    Effort,
    Estimate,
    Expert,
    ExpertKind,
    Profile,
    Question,
    Sampling,
    SkillWeight,
    Usage,
)
from orchestrator.deliberation import Matter, to_be_written, writers
from orchestrator.routing import Policy, Pool, Query, load_router
from skills.knowledge import Knowledge

ALGEBRA = (SkillWeight("algebra", 0.8, 0.5), SkillWeight("law", 0.2, 0.4))


def estimate(mean: float) -> Estimate:
    return Estimate(mean, 0.1, 40)


def measured(name: str, mean: float, **skills: float) -> Profile:
    at = {skill: estimate(m) for skill, m in skills.items()}
    return Profile(name, estimate(0.5), aggregation=estimate(mean), aggregation_skills=at)


def pool(kit: Any, names: str, *profiles: Profile, **fields: Any) -> Pool:
    return Pool([kit.expert(n, **fields) for n in names], Knowledge.of(profiles))


def test_where_nobody_was_measured_the_best_at_answering_writes(kit: Any) -> None:
    assert writers(matter(pool(kit, "abc")), ["b", "a", "b"]) == ("b", "a")
    assert writers(replace(matter(pool(kit, "abc")), pool=None), ["b", "a"]) == ("b", "a")


def test_the_questions_own_skills_count(kit: Any) -> None:
    known = pool(kit, "ab", measured("a", 0.7, algebra=0.2, law=0.9), measured("b", 0.6))
    assert writers(matter(known, skills=()), ["b", "a"]) == ("a", "b")
    assert writers(matter(known), ["a", "b"]) == ("b", "a")


def test_the_best_of_the_pool_writes_though_it_was_not_asked(kit: Any) -> None:
    known = matter(pool(kit, "abcd", measured("a", 0.5), measured("b", 0.6), measured("c", 0.9)))
    assert writers(known, ["a", "b"]) == ("c", "b", "a")
    assert writers(known, ["a", "b"], failed=["c"]) == ("b", "a")
    assert writers(known, ["c", "a"]) == ("c", "a")


def test_whom_nobody_measured_is_taken_for_average(kit: Any) -> None:
    known = pool(kit, "abcd", measured("a", 0.2), measured("b", 0.8))
    assert writers(matter(known), ["a", "d", "b"]) == ("b", "d", "a")


def test_what_a_writer_costs_counts_as_the_policy_says(kit: Any) -> None:
    prices = {"a": 1.0, "b": 1.0, "c": 100.0}
    experts = [kit.expert(n, completion_price=p) for n, p in prices.items()]
    profiles = [measured("a", 0.6), measured("b", 0.5), measured("c", 0.9)]
    known = Pool(experts, Knowledge.of(profiles))
    assert writers(matter(known), ["b", "a"])[0] == "c"
    thrifty = matter(known, policy=Policy(cost_weight=0.1))
    assert writers(thrifty, ["b", "a"]) == ("a", "b")


def test_nobody_too_slow_is_called_in(kit: Any) -> None:
    slow, quick = (Effort(10.0, 10.0, s, 5) for s in (60.0, 1.0))
    profiles = [
        replace(measured("a", 0.5), effort=quick),
        replace(measured("b", 0.9), effort=slow),
    ]
    known = pool(kit, "ab", *profiles)
    assert writers(matter(known), ["a"]) == ("b", "a")
    assert writers(matter(known, policy=Policy(latency_s=10.0)), ["a"]) == ("a",)


@given(st.permutations("abc"), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_everyone_who_answered_has_a_turn(experts: list[str], means: list[float]) -> None:
    profiles = [measured(n, m) for n, m in zip("bcd", means, strict=True)]
    known = Pool([_expert(n) for n in "abcde"], Knowledge.of(profiles))
    found = writers(matter(known), experts)
    assert sorted(found[-3:]) == sorted(experts)
    assert found[:-3] in ((), ("d",))


def _expert(name: str) -> Expert:
    return Expert(name, ExpertKind.OPENAI, "m", endpoint="http://127.0.0.1:9")


def matter(
    known: Pool,
    *,
    skills: tuple[SkillWeight, ...] = ALGEBRA,
    policy: Policy | None = None,
    **sampling: Any,
) -> Matter:
    query, policy = Query(skills, "Why?"), policy or Policy()
    route = load_router("all").route(query, known, policy)
    asked = Sampling(**sampling)
    return Matter(Question.of("Why?"), query, known, route, policy, sampling=asked)


def said(expert: str, text: str) -> Completion:
    return Completion(expert, text, "stop", Usage(9, len(text) // 4), 0.1)


def test_a_writer_is_shown_what_it_can_read(kit: Any) -> None:
    roomy = pool(kit, "ab")
    small = pool(kit, "ab", context_length=2048)
    answers = [said("a", "so " * 5000 + "it ends"), said("b", "it is short")]
    whole = to_be_written(matter(roomy), answers, "a")
    cut = to_be_written(matter(small), answers, "a")
    less = to_be_written(matter(small, max_tokens=1000), answers, "a")
    assert len(whole.text) > 15_000
    assert len(less.text) < len(cut.text) < 1536 * 4
    assert all("it ends" in q.text and "it is short" in q.text for q in (whole, cut, less))


def test_the_requests_form_and_seed_reach_the_prompt(kit: Any) -> None:
    known, answers = pool(kit, "ab"), [said("a", "one"), said("b", "two")]
    wanted = {"response_format": {"type": "json_object"}}
    assert "JSON alone" in to_be_written(matter(known, extra=wanted), answers).text
    seeds = [to_be_written(matter(known, seed=s), answers).text for s in range(8)]
    assert len({text.index("\none\n") < text.index("\ntwo\n") for text in seeds}) == 2
    plain = matter(known)
    assert to_be_written(plain, answers) == to_be_written(replace(plain), answers[::-1])
