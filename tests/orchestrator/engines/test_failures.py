"""What goes wrong with a server, as errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import EngineError, EngineRejected, EngineUnavailable
from coterie.types import Question
from orchestrator.engines.failures import (
    MAX_UPSTREAM_TEXT,
    excerpt,
    from_event,
    from_status,
    retry_after_s,
)
from orchestrator.engines.target import Target
from orchestrator.engines.wire import estimate_tokens

TARGET = Target("law", "http://ann:pw@host:80/v1", "m", api_key="sk-1")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_every_answer_has_its_error(status: int, body: bytes) -> None:
    error = from_status(TARGET, status, body, {}, now_s=0.0)
    assert isinstance(error, EngineError)
    assert "'law'" in str(error)
    assert "pw" not in str(error).replace(body.decode("utf-8", "replace"), "")


@given(json_values)
def test_every_error_object_has_its_error(error: object) -> None:
    body = json.dumps({"error": error}).encode()
    assert isinstance(from_event(TARGET, error), EngineError)
    assert isinstance(from_status(TARGET, 400, body, {}, now_s=0.0), EngineRejected)


@given(st.text(max_size=1000))
def test_an_excerpt_is_short_and_on_one_line(text: str) -> None:
    shown = excerpt(TARGET, text + " sk-1 ")
    assert len(shown) <= MAX_UPSTREAM_TEXT
    assert "\n" not in shown
    assert "sk-1" not in shown


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}, now_s=60.0) == seconds


def test_an_errors_own_status_inside_a_stream_counts() -> None:
    assert isinstance(from_event(TARGET, {"message": "no", "code": 400}), EngineRejected)
    assert isinstance(from_event(TARGET, {"message": "no", "code": 503}), EngineUnavailable)
    assert isinstance(from_event(TARGET, "no"), EngineUnavailable)


def test_a_target_shows_no_secret() -> None:
    assert TARGET.server == "http://host:80"
    assert "sk-1" not in repr(TARGET)


@given(st.text(), st.text())
def test_a_longer_question_is_never_estimated_shorter(text: str, more: str) -> None:
    short, long = Question.of(text), Question.of(text + more)
    assert 8 <= estimate_tokens(short) <= estimate_tokens(long)
