"""Of a record whose key keeps no contents, no word reaches the database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.traces.contents import as_kept
from orchestrator.traces.facts import LEFT, facts_of
from orchestrator.traces.increments import increments_of

KEY = b"a key of tests"
SECRET = "the heron's nest"


def record(contents: str | None, **fields: Any) -> dict[str, Any]:
    """A record that says :data:`SECRET` wherever a record has words."""
    failure = {"expert": "cyd", "error": f"400: {SECRET}", "kind": "rejected", "latency_s": 0.1}
    call = {"expert": "ada", "role": "answer", "usage": None, "cost_usd": 0.1, "latency_ms": 5.0}
    found = {
        "id": "r1",
        "created_at": "2026-01-02T03:04:05+00:00",
        "question": f"Where is {SECRET}?",
        "skills": [{"skill": "birds", "weight": 1.0, "similarity": 0.5}],
        "answers": [{"expert": "ada", "text": SECRET}, {"expert": "bob", "text": SECRET}],
        "failures": [failure],
        "votes": {SECRET: ["ada", "bob"], f"not {SECRET}": ["dan"]},
        "agreement": 0.9,
        "aggregation": {"because": "1 of 2", "writer": None, "failures": [failure]},
        "synthesis": {"expert": "eve", "text": SECRET},
        "answer": {"expert": "eve", "text": SECRET},
        "error": f"everyone failed: {SECRET}",
        "calls": [{**call, "error": None}, {**call, "expert": "cyd", "error": f"400: {SECRET}"}],
        "steps_ms": {"ask": 7.0},
        **fields,
    }
    return found if contents is None else {**found, "contents": contents}


@pytest.mark.parametrize("contents", ["whole", None])
def test_whole_is_the_record_as_it_was(contents: str | None) -> None:
    assert as_kept(record(contents), KEY) == record(contents)


@pytest.mark.parametrize("contents", ["hashed", "none", "anything else"])
def test_no_word_is_left(contents: str) -> None:
    assert SECRET not in json.dumps(as_kept(record(contents), KEY))


@pytest.mark.parametrize("contents", ["hashed", "none"])
def test_what_it_is_found_by_and_counted_as_stays(contents: str) -> None:
    whole, kept = record(contents), as_kept(record(contents), KEY)
    assert facts_of(kept) == facts_of(whole)
    was, now = increments_of([whole]), increments_of([kept])
    assert (now.requests, now.calls) == (was.requests, was.calls)


def test_equal_words_have_equal_hashes_and_tell_their_length() -> None:
    kept = as_kept(record("hashed"), KEY)
    ada, bob = kept["answers"]
    assert ada["text"] is None
    assert ada["text_hash"] == bob["text_hash"] == kept["answer"]["text_hash"]
    assert (ada["text_chars"], kept["question_chars"]) == (len(SECRET), len(SECRET) + 10)
    assert list(kept["votes"].values()) == [["ada", "bob"], ["dan"]]
    assert ada["text_hash"] in kept["votes"]
    assert as_kept(record("hashed"), b"another")["answers"][0]["text_hash"] != ada["text_hash"]


def test_that_a_caller_left_is_kept() -> None:
    assert as_kept(record("none", status="failed", error=LEFT), KEY)["error"] == LEFT


@given(st.dictionaries(st.sampled_from(["question", "answers", "votes", "error"]), st.none()))
def test_what_is_missing_is_no_fault(missing: dict[str, None]) -> None:
    some = {k: v for k, v in record("none").items() if k not in missing}
    assert SECRET not in json.dumps(as_kept(some, KEY))
