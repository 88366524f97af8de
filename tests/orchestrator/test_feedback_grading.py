"""What feedback says of each expert's answer."""

from __future__ import annotations

from typing import Any

import pytest

from coterie.types import Reading
from orchestrator.feedback_grading import graded_by

CHOICE = "Which one flies?\nA. a stone\nB. a heron"


def record(question: str = "How many?", **texts: str) -> dict[str, Any]:
    """Ada's answer went out; bob said the same, if his text is the same."""
    votes: dict[str, list[str]] = {}
    for expert, text in texts.items():
        votes.setdefault(text, []).append(expert)
    return {
        "id": "r1",
        "question": question,
        "skills": [{"skill": "sums", "weight": 1.0, "similarity": 0.5}],
        "answers": [
            {"expert": e, "text": t, "prompt_tokens": 7, "completion_tokens": 2, "latency_ms": 500}
            for e, t in texts.items()
        ],
        "votes": votes,
        "answer": {"expert": "ada", "text": texts.get("ada", "")},
    }


def grades(record: dict[str, Any], right: str | None, good: bool = True) -> dict[str, bool]:
    return {a.expert: a.correct for a in graded_by(record, right, good, "q1")}


@pytest.mark.parametrize(
    ("question", "right", "said", "wrong"),
    [
        ("How many?", "42", "So 40 + 2 = 42.", "The answer is 41."),
        ("How many?", " 1,200.0 ", "The answer is 1200", "12"),
        (CHOICE, "B", "The answer is (B).", "A"),
        (CHOICE, "(b) a heron".upper(), "B", "The answer is A"),
        (CHOICE, "a heron", "B", "A"),
        ("Who?", "Grey Heron", "The answer is the grey heron.", "a stone"),
    ],
)
def test_everyone_is_graded_by_the_right_answer(
    question: str, right: str, said: str, wrong: str
) -> None:
    assert grades(record(question, ada=wrong, bob=said), right, good=False) == {
        "ada": False,
        "bob": True,
    }


def test_a_verdict_is_about_whose_answer_went_out_and_those_that_gave_the_same() -> None:
    assert grades(record(ada="42", bob="42", cyd="41"), None) == {"ada": True, "bob": True}
    assert grades(record(ada="42", bob="42", cyd="41"), None, good=False) == {
        "ada": False,
        "bob": False,
    }


@pytest.mark.parametrize("right", ["a long answer " * 9, "two\nlines of it"])
def test_prose_cannot_be_compared(right: str) -> None:
    assert grades(record(ada="42", cyd="41"), right, good=False) == {"ada": False}


def test_an_option_that_is_none_cannot_be_compared() -> None:
    assert grades(record(CHOICE, ada="A", cyd="B"), "neither of them", good=False) == {"ada": False}


def test_of_an_answer_written_from_all_nobodys_own_was_judged() -> None:
    written = {**record(ada="42"), "synthesis": {"expert": "eve", "text": "43"}}
    assert grades(written, None) == {}
    assert grades(written, "42", good=False) == {"ada": True}


def test_words_that_were_not_kept_are_judged_and_not_graded() -> None:
    kept = record(ada="42", bob="41")
    kept = {**kept, "question": None, "answers": [{**a, "text": None} for a in kept["answers"]]}
    assert grades(kept, "42") == {}
    assert grades(kept, None) == {"ada": True}


def test_the_evidence_is_what_was_recorded() -> None:
    [found] = graded_by(record(ada="The answer is 42"), "42", True, "q1")
    assert (found.task, found.item, found.expert) == ("feedback", "q1", "ada")
    assert (found.extracted, found.reading) == ("42", Reading.STATED)
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7, 2)
    assert (found.latency_s, found.skills[0].skill) == (0.5, "sums")
