"""Graded answers become probabilities."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from coterie.types import GradedAnswer, Profile, SkillWeight, Usage
from skills.estimate import estimate_profiles, profiles_of
from skills.memory import Memory
from skills.profile import UNKNOWN, Shrinkage


def memory(
    correct: ArrayLike, skills: list[dict[str, float]], experts: str = "abcdefghij"
) -> Memory:
    """Answers (q, e), 1, 0 or NaN, and each question's skills."""
    grid = np.array(correct, np.float32)
    q, e = grid.shape
    return Memory(
        experts=tuple(experts[:e]),
        items=tuple(f"i{i}" for i in range(q)),
        categories=("",) * q,
        skills=tuple(tuple(SkillWeight(n, w, 0.5) for n, w in s.items()) for s in skills),
        vectors=np.zeros((q, 0), np.float32),
        options=np.zeros(q, np.int16),
        correct=grid,
        answers=np.full((q, e), ""),
        readings=np.zeros((q, e), np.int8),
        tokens=np.full((q, e), np.nan, np.float32),
    )


def column(*runs: tuple[int, int]) -> NDArray[np.float32]:
    """One expert's answers, (q, 1), given as runs of (right, wrong)."""
    return np.array([[v] for r, w in runs for v in [1] * r + [0] * w], np.float32)


def one(correct: ArrayLike, skills: list[dict[str, float]]) -> Profile:
    [profile] = estimate_profiles(memory(correct, skills))
    return profile


# --- evidence and priors ------------------------------------------------------------------------


def test_no_answers_leave_an_expert_unknown() -> None:
    grid = np.array([[1, np.nan], [0, np.nan]])
    known, unknown = estimate_profiles(memory(grid, [{"sql": 1}] * 2))
    assert unknown == Profile("b", UNKNOWN)
    assert known.overall.n == 2


def test_no_questions_leave_everybody_unknown() -> None:
    assert estimate_profiles(memory(np.zeros((0, 2)), [])) == (
        Profile("a", UNKNOWN),
        Profile("b", UNKNOWN),
    )


def test_much_evidence_reaches_the_rate() -> None:
    found = one(column((750, 250), (200, 800)), [{"sql": 1}] * 1000 + [{"law": 1}] * 1000)
    assert found.at("sql").mean == pytest.approx(0.75, abs=0.01)
    assert found.at("law").mean == pytest.approx(0.2, abs=0.01)
    assert found.overall.mean == pytest.approx(0.475, abs=0.01)
    assert found.at("sql").sd == pytest.approx(math.sqrt(0.75 * 0.25 / 1000), rel=0.15)


def test_little_evidence_stays_near_the_overall_rate() -> None:
    found = one(column((45, 5), (0, 1)), [{"sql": 1}] * 50 + [{"law": 1}])
    assert 0.6 < found.at("law").mean < found.overall.mean
    assert found.at("law").sd > found.at("sql").sd


def test_a_skill_nobody_was_graded_on_has_the_overall_estimate() -> None:
    found = one(column((3, 1)), [{"sql": 1}] * 4)
    assert found.at("history") == found.overall


def test_an_answer_is_shared_among_its_skills() -> None:
    found = one(column((1, 0)), [{"sql": 0.75, "law": 0.25}])
    assert (found.at("sql").n, found.at("law").n, found.overall.n) == (0.75, 0.25, 1)


def test_a_question_without_skills_counts_for_the_overall_rate_alone() -> None:
    found = one(column((9, 1)), [{}] * 10)
    assert found.skills == {}
    assert 0.7 < found.overall.mean < 0.9


def test_the_strength_of_the_pull_is_learned() -> None:
    rng = np.random.default_rng(0)
    skills = [{f"s{i % 10}": 1.0} for i in range(300)]

    def pull(spread: float) -> float:
        """How far a skill answered 6 of 30 stays above 0.2, where experts differ by ``spread``."""
        ability = rng.normal(0, spread, (10, 8))
        chance = 1 / (1 + np.exp(-ability[np.arange(300) % 10]))
        grid = (rng.random((300, 8)) < chance).astype(float)
        grid[0::10, 0] = [1] * 6 + [0] * 24
        return estimate_profiles(memory(grid, skills))[0].at("s0").mean - 0.2

    assert pull(spread=0.0) > 2 * pull(spread=1.5) > 0


def test_twenty_five_answers_a_skill_are_never_wilder_than_chance_allows() -> None:
    rng = np.random.default_rng(1)
    skills = [{f"s{i % 14}": 1.0} for i in range(14 * 25)]
    grid = (rng.random((14 * 25, 10)) < 0.5).astype(float)  # nobody is better at anything
    rates = grid.reshape(25, 14, 10).mean(axis=0)
    found = estimate_profiles(memory(grid, skills))
    means = np.array([[p.at(f"s{i}").mean for p in found] for i in range(14)])
    assert np.abs(rates - 0.5).max() > 0.2
    assert np.abs(means - 0.5).max() < 0.15
    assert (means - 0.5).std() < 0.6 * (rates - 0.5).std()


# --- difficulty ---------------------------------------------------------------------------------


def test_easy_questions_do_not_make_an_expert_look_able() -> None:
    gaps, sds, rates = [], [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        difficulty = rng.normal(0, 1.5, 200)
        ability = np.array([0.3, 0.3, *rng.normal(0, 0.7, 8)])
        chance = 1 / (1 + np.exp(difficulty[:, None] - ability))
        grid = (rng.random((200, 10)) < chance).astype(float)
        grid[difficulty > 0, 1] = np.nan  # as able as the first, but spared the hard ones
        asked, spared, *_ = estimate_profiles(memory(grid, [{"s": 1}] * 200))
        gaps.append(spared.at("s").mean - asked.at("s").mean)
        sds.append(math.hypot(asked.at("s").sd, spared.at("s").sd))
        rates.append(np.nanmean(grid[:, 1]) - grid[:, 0].mean())
        assert spared.at("s").sd > asked.at("s").sd
    assert np.mean(rates) > 3 * np.mean(sds)
    assert abs(np.mean(gaps)) < np.mean(sds)


def test_a_skill_an_expert_was_not_asked_about_is_as_hard_as_for_others() -> None:
    rng = np.random.default_rng(3)
    law = np.arange(200) % 2 == 1
    grid = (rng.random((200, 5)) < np.where(law, 0.3, 0.8)[:, None]).astype(float)
    grid[law, 0] = np.nan
    skills = [{"law" if is_law else "sql": 1.0} for is_law in law]
    unasked = estimate_profiles(memory(grid, skills))[0]
    assert unasked.at("law").n == 0
    assert unasked.at("law").mean == pytest.approx(0.3, abs=0.12)
    assert unasked.at("law").sd > unasked.at("sql").sd


# --- invariants ---------------------------------------------------------------------------------


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    q, e = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    cells = st.sampled_from([0.0, 1.0, 0.0, 1.0, np.nan])
    grid = draw(st.lists(st.lists(cells, min_size=e, max_size=e), min_size=q, max_size=q))
    kinds = [{"s": 1.0}, {"t": 1.0}, {"s": 0.7, "t": 0.3}, {"u": 0.5, "s": 0.5}, {}]
    return memory(grid, draw(st.lists(st.sampled_from(kinds), min_size=q, max_size=q)))


@given(memories(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_experts_and_questions_does_not_matter(memory: Memory, rng: object) -> None:
    experts, rows = list(memory.experts), list(range(len(memory)))
    rng.shuffle(experts)  # type: ignore[attr-defined]
    rng.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = memory.of_experts(experts).at(np.array(rows, dtype=np.intp))
    for a, b in zip(estimate_profiles(memory), estimate_profiles(shuffled), strict=True):
        assert a.expert == b.expert
        assert a.skills.keys() == b.skills.keys()
        for x, y in zip(
            [a.overall, *a.skills.values()], [b.overall, *b.skills.values()], strict=True
        ):
            assert (x.mean, x.sd, x.n) == pytest.approx((y.mean, y.sd, y.n), abs=1e-5)


@given(memories())
@settings(deadline=None)
def test_estimates_are_probabilities(memory: Memory) -> None:
    for profile in estimate_profiles(memory):
        for estimate in (profile.overall, *profile.skills.values()):
            assert 0 < estimate.mean < 1
            assert 0 < estimate.sd <= 0.5


@given(memories(), st.data())
@settings(deadline=None)
def test_a_wrong_answer_made_right_never_lowers_its_expert(
    memory: Memory, data: st.DataObject
) -> None:
    wrong = np.argwhere(memory.correct == 0)
    if not len(wrong):
        return
    row, expert = data.draw(st.sampled_from(wrong.tolist()))
    mended = memory.correct.copy()
    mended[row, expert] = 1
    before = estimate_profiles(memory)[expert]
    after = estimate_profiles(replace(memory, correct=mended))[expert]
    assert after.overall.mean >= before.overall.mean - 1e-6
    for skill in memory.skills[row]:
        assert after.at(skill.skill).mean >= before.at(skill.skill).mean - 1e-6


def test_stronger_shrinkage_pulls_harder() -> None:
    grid = column((45, 5), (0, 5))
    skills = [{"a": 1.0}] * 50 + [{"b": 1.0}] * 5

    def at(skill: float) -> float:
        [profile] = estimate_profiles(memory(grid, skills), Shrinkage(skill=skill, trust=math.inf))
        return profile.at("b").mean

    assert at(skill=2.0) < at(skill=0.5) < at(skill=0.1)


# --- from stored answers ------------------------------------------------------------------------


def graded(
    expert: str, item: str, correct: bool, *, task: str = "t", usage: Usage | None = None
) -> GradedAnswer:
    skills = (SkillWeight("sql", 1.0, 0.5),)
    return GradedAnswer(expert, task, item, skills, "", "x", correct, usage or Usage(), 0.0)


def test_experts_are_told_apart_and_named_in_order() -> None:
    found = profiles_of([graded("b", "1", True), graded("a", "1", False)])
    assert [p.expert for p in found] == ["a", "b"]
    assert found[0].overall.mean < 0.5 < found[1].overall.mean


def test_effort_is_what_was_measured() -> None:
    answers = [graded("a", "1", True, usage=Usage(30, 10)), graded("a", "2", True, usage=Usage(50))]
    [found] = profiles_of([*answers, graded("a", "3", True)])
    assert found.effort is not None
    assert (found.effort.prompt_tokens, found.effort.completion_tokens) == (40, 10)
    assert (found.effort.latency_s, found.effort.n) == (None, 2)


def test_effort_nobody_measured_is_not_known() -> None:
    [found] = profiles_of([graded("a", "1", True)])
    assert found.effort is None


def test_lengths_in_a_memory_are_effort() -> None:
    answers = memory([[1], [0], [1]], [{"s": 1}] * 3)
    tokens = np.array([[10], [30], [np.nan]], np.float32)
    [found] = estimate_profiles(replace(answers, tokens=tokens))
    assert found.effort is not None
    assert (found.effort.completion_tokens, found.effort.n) == (20, 2)
    assert found.effort.prompt_tokens is None


def test_aggregation_is_no_evidence_of_answering() -> None:
    answers = [graded("a", str(i), i % 2 == 0) for i in range(20)]
    trials = [graded("a", str(i), True, task="aggregation/t") for i in range(20)]
    [plain], [both] = profiles_of(answers), profiles_of([*answers, *trials])
    assert (both.overall, both.skills) == (plain.overall, plain.skills)
    assert plain.aggregation is None
    assert both.aggregation is not None
    assert both.aggregation.mean > 0.8
    assert both.aggregation.n == 20


def test_an_expert_that_only_aggregated_is_unknown_at_answering() -> None:
    [found] = profiles_of([graded("a", "1", True, task="aggregation/t")])
    assert found.overall == UNKNOWN
    assert found.aggregation is not None
