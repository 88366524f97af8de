"""Graded answers become probabilities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.types import GradedAnswer, SkillWeight, Usage
from skills.profile import Shrinkage, beta_estimate, profile_of, profiles_of


def graded(correct: bool, *skills: tuple[str, float], expert: str = "e") -> GradedAnswer:
    weights = tuple(SkillWeight(name, weight, 0.5) for name, weight in skills)
    return GradedAnswer(expert, "t", "i", weights, "", None, correct, Usage(), 0.0)


def test_no_answers_leave_the_prior() -> None:
    profile = profile_of("e", [])
    assert profile.overall.mean == 0.5
    assert profile.overall.n == 0


def test_much_evidence_reaches_the_rate() -> None:
    answers = [graded(i % 4 != 0, ("sql", 1.0)) for i in range(4000)]
    profile = profile_of("e", answers)
    assert profile.overall.mean == pytest.approx(0.75, abs=0.01)
    assert profile.at("sql").mean == pytest.approx(0.75, abs=0.01)
    assert profile.at("sql").sd < 0.01


def test_little_evidence_stays_near_the_overall_rate() -> None:
    answers = [graded(True, ("sql", 1.0))] * 50 + [graded(False, ("law", 1.0))]
    law = profile_of("e", answers).at("law")
    # One wrong answer against a prior of four at the overall rate: pulled down, not to nothing.
    assert 0.6 < law.mean < 0.85
    assert law.sd > profile_of("e", answers).at("sql").sd


def test_an_ungraded_skill_has_the_overall_estimate() -> None:
    profile = profile_of("e", [graded(True, ("sql", 1.0))])
    assert profile.at("history") == profile.overall


def test_an_answer_is_shared_among_its_skills() -> None:
    profile = profile_of("e", [graded(True, ("sql", 0.75), ("law", 0.25))])
    assert (profile.at("sql").n, profile.at("law").n) == (0.75, 0.25)


def test_experts_are_told_apart() -> None:
    answers = [graded(True, ("s", 1.0), expert="b"), graded(False, ("s", 1.0), expert="a")]
    found = profiles_of(answers)
    assert [p.expert for p in found] == ["a", "b"]
    assert found[0].overall.mean < 0.5 < found[1].overall.mean


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 0.99), st.floats(0.1, 50))
def test_the_posterior_mean_lies_between_prior_and_rate(
    correct: int, wrong: int, prior: float, strength: float
) -> None:
    n = correct + wrong
    found = beta_estimate(correct, n, prior_mean=prior, prior_n=strength)
    rate = correct / n if n else prior
    assert min(prior, rate) - 1e-9 <= found.mean <= max(prior, rate) + 1e-9
    assert 0 <= found.sd <= 0.5


def test_stronger_shrinkage_pulls_harder() -> None:
    answers = [graded(True, ("a", 1.0))] * 9 + [graded(False, ("b", 1.0))]
    weak = profile_of("e", answers, Shrinkage(skill=1)).at("b").mean
    strong = profile_of("e", answers, Shrinkage(skill=20)).at("b").mean
    assert weak < strong
