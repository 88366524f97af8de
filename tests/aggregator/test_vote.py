"""The weighted vote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.vote import WeightedVote, posteriors
from coterie.types import Completion, Question, Usage

QUESTION = Question.of("How many?")


def said(expert: str, text: str) -> Completion:
    return Completion(expert, text, "stop", Usage(1, 1), 0.1)


def test_one_expert_alone_is_believed_as_far_as_it_is_good() -> None:
    verdict = WeightedVote().judge(QUESTION, [said("a", "42")], {"a": 0.7})
    assert verdict.leader == "a"
    assert verdict.agreement == pytest.approx(0.7)


def test_one_vote_has_the_posterior_of_its_voter() -> None:
    found = posteriors({"42": ("a",)}, {"a": 0.7}, answers=10)
    assert found["42"] == pytest.approx(0.7)


def test_two_weak_experts_who_agree_do_not_outvote_a_strong_one() -> None:
    completions = [said("strong", "42"), said("weak1", "41"), said("weak2", "41")]
    scores = {"strong": 0.95, "weak1": 0.1, "weak2": 0.1}
    verdict = WeightedVote().judge(QUESTION, completions, scores)
    assert verdict.leader == "strong"
    assert verdict.votes == {"42": ("strong",), "41": ("weak1", "weak2")}


def test_agreement_raises_the_posterior() -> None:
    alone = posteriors({"42": ("a",)}, {"a": 0.6, "b": 0.6}, answers=10)["42"]
    both = posteriors({"42": ("a", "b")}, {"a": 0.6, "b": 0.6}, answers=10)["42"]
    assert both > 0.9 > alone


def test_the_leader_is_the_best_of_those_who_agree() -> None:
    completions = [said("a", "42"), said("b", "42.")]
    verdict = WeightedVote().judge(QUESTION, completions, {"a": 0.5, "b": 0.8})
    assert verdict.leader == "b"


def test_prose_leaves_no_leader() -> None:
    prose = "Autumn leaves are falling down, " * 5
    verdict = WeightedVote().judge(QUESTION, [said("a", prose), said("b", prose + "!")], {})
    assert verdict.leader is None


RAMBLING = "I would rather talk about something else than about the number you ask for. " * 2


def test_two_who_agree_outvote_one_who_talks() -> None:
    completions = [said("a", "42"), said("b", "42"), said("c", RAMBLING)]
    verdict = WeightedVote().judge(QUESTION, completions, {"a": 0.6, "b": 0.6, "c": 0.9})
    assert verdict.leader in ("a", "b")
    assert verdict.votes == {"42": ("a", "b")}


def test_a_weak_expert_that_is_brief_does_not_overrule_a_strong_one_that_talks() -> None:
    completions = [said("weak", "42"), said("strong", RAMBLING)]
    verdict = WeightedVote().judge(QUESTION, completions, {"weak": 0.4, "strong": 0.8})
    assert verdict.leader == "strong"
    assert "prose" in verdict.reason
    assert verdict.agreement < 0.8


probability = st.floats(0, 1)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3), st.lists(probability, min_size=1, max_size=4), min_size=1
    ),
    st.integers(2, 20),
)
def test_posteriors_are_probabilities(ballots: dict[str, list[float]], answers: int) -> None:
    votes = {a: tuple(f"{a}-{i}" for i in range(len(ps))) for a, ps in ballots.items()}
    scores = {f"{a}-{i}": p for a, ps in ballots.items() for i, p in enumerate(ps)}
    found = posteriors(votes, scores, answers=answers)
    assert set(found) == set(votes)
    assert all(0 <= p <= 1 for p in found.values())
    assert sum(found.values()) <= 1 + 1e-9
