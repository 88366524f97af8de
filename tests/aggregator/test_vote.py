"""The weighted vote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.base import Case, ballots_of, options_in
from aggregator.vote import Majority, Weighted, posteriors
from coterie.types import Ballot, Completion, Question, Usage, Verdict

QUESTION = Question.of("How many?")


def said(expert: str, text: str) -> Completion:
    return Completion(expert, text, "stop", Usage(1, 1), 0.1)


def judged(completions: list[Completion], chances: dict[str, float]) -> Verdict:
    ballots = ballots_of(QUESTION, completions)
    return Weighted().judge(Case(ballots, chances, options_in(QUESTION)))


def test_one_expert_alone_is_believed_as_far_as_it_is_good() -> None:
    verdict = judged([said("a", "42")], {"a": 0.7})
    assert verdict.leader == "a"
    assert verdict.agreement == pytest.approx(0.7)


def test_one_vote_has_the_posterior_of_its_voter() -> None:
    found = posteriors({"42": ("a",)}, {"a": 0.7}, answers=10)
    assert found["42"] == pytest.approx(0.7)


def test_two_weak_experts_who_agree_do_not_outvote_a_strong_one() -> None:
    completions = [said("strong", "42"), said("weak1", "41"), said("weak2", "41")]
    scores = {"strong": 0.95, "weak1": 0.1, "weak2": 0.1}
    verdict = judged(completions, scores)
    assert verdict.leader == "strong"
    assert verdict.votes == {"42": ("strong",), "41": ("weak1", "weak2")}


def test_agreement_raises_the_posterior() -> None:
    alone = posteriors({"42": ("a",)}, {"a": 0.6, "b": 0.6}, answers=10)["42"]
    both = posteriors({"42": ("a", "b")}, {"a": 0.6, "b": 0.6}, answers=10)["42"]
    assert both > 0.9 > alone


def test_the_leader_is_the_best_of_those_who_agree() -> None:
    completions = [said("a", "42"), said("b", "42.")]
    verdict = judged(completions, {"a": 0.5, "b": 0.8})
    assert verdict.leader == "b"


def test_prose_leaves_no_leader() -> None:
    prose = "Autumn leaves are falling down, " * 5
    verdict = judged([said("a", prose), said("b", prose + "!")], {})
    assert verdict.leader is None


RAMBLING = "I would rather talk about something else than about the number you ask for. " * 2


def test_two_who_agree_outvote_one_who_talks() -> None:
    completions = [said("a", "42"), said("b", "42"), said("c", RAMBLING)]
    verdict = judged(completions, {"a": 0.6, "b": 0.6, "c": 0.9})
    assert verdict.leader in ("a", "b")
    assert verdict.votes == {"42": ("a", "b")}


def test_a_weak_expert_that_is_brief_does_not_overrule_a_strong_one_that_talks() -> None:
    completions = [said("weak", "42"), said("strong", RAMBLING)]
    verdict = judged(completions, {"weak": 0.4, "strong": 0.8})
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


def majority(*votes: tuple[str, str | None], **chances: float) -> Verdict:
    return Majority().judge(Case(tuple(Ballot(e, a) for e, a in votes), chances))


def test_the_majority_counts_everyone_the_same() -> None:
    found = majority(("strong", "42"), ("x", "41"), ("y", "41"), strong=0.95, x=0.1, y=0.2)
    assert found.leader == "y"
    assert found.agreement == pytest.approx(2 / 3)


def test_a_tie_goes_to_the_answer_of_the_best_expert_then_to_the_first() -> None:
    assert majority(("a", "1"), ("b", "2"), a=0.4, b=0.6).leader == "b"
    assert majority(("a", "2"), ("b", "1"), a=0.5, b=0.5).leader == "b"


def test_who_names_no_option_of_a_choice_abstains() -> None:
    ballots = (Ballot("a", "A"), Ballot("b", None), Ballot("c", None))
    found = Weighted().judge(Case(ballots, {"a": 0.3, "b": 0.9, "c": 0.9}, options=4))
    assert found.leader == "a"


def test_an_abstention_is_no_vote_for_anyone() -> None:
    found = majority(("a", "1"), ("b", None), ("c", "1"), a=0.3, b=0.9, c=0.3)
    assert found.leader == "a"
    assert found.votes == {"1": ("a", "c")}
