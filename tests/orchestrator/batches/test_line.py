"""A line is a request or is refused: nothing else ever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.batches.line import (
    DEPTH,
    MOST_BYTES,
    MOST_VALUES,
    TOLD,
    BadLine,
    check_model,
    read_line,
)
from orchestrator.jobs import record
from orchestrator.jobs.keys import canonical, prompt_key

CHAT = '"model":"m","messages":[{"role":"user","content":"x"}]'


def raw(body: str, id: str = '"a"') -> bytes:
    head = f'{{"custom_id":{id},"method":"POST","url":"/v1/chat/completions","body":'
    return f"{head}{body}}}".encode("utf-8", "surrogatepass")


def with_extra(value: str) -> bytes:
    text = '{"model":"coterie","messages":[{"role":"user","content":"x"}],"extra":'
    return raw(f"{text}{value}}}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (with_extra("NaN"), "NaN is no number"),
        (with_extra("-Infinity"), "Infinity is no number"),
        (with_extra("1e999"), "out of range"),
        (with_extra("9" * 5000), "not JSON"),
        (with_extra('"\\ud800"'), "half a surrogate pair"),
        (with_extra('{"\\udfff": 1}'), "half a surrogate pair"),
        (with_extra("[" * 500 + "]" * 500), "nested"),
        (with_extra("[" * 200_000 + "]" * 200_000), "nested too deeply"),
        (with_extra('{"a":' * (DEPTH + 1) + "1" + "}" * (DEPTH + 1)), "nested"),
        (with_extra(f"[{'[],' * MOST_VALUES}0]"), f"more than {MOST_VALUES} values"),
        (b"x" * (MOST_BYTES + 1), "longer than"),
        (raw("{}"), "body.model"),
        (raw("[]"), "'body' must be an object"),
        (raw('{"model":"m","messages":[]}'), "body.messages"),
        (
            raw(
                '{"model":"m","messages":[{"role":"user","content":"x"}],"coterie":{"trace":true}}'
            ),
            "keeps no why-records",
        ),
        (raw(f'{{{CHAT},"coterie":{{"k":2}}}}'), "goes by its model alone"),
        (raw(f'{{{CHAT},"n":2}}'), "body.n"),
        (raw('{"model":"m","messages":[{"role":"eve","content":"x"}]}'), "body.messages.0.role"),
        (raw("{}", '""'), "custom_id"),
        (raw("{}", "7"), "custom_id"),
        (raw("{}", '"\\u0000"'), "custom_id"),
        (raw("{}", f'"{"x" * 513}"'), "custom_id"),
    ],
)
def test_what_is_no_request_is_refused(line: bytes, told: str) -> None:
    with pytest.raises(BadLine, match=told) as caught:
        read_line(line)
    assert len(str(caught.value)) <= TOLD


def test_a_long_model_is_not_told_at_length() -> None:
    body = {"model": "m" * 100_000, "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(BadLine, match="the model") as caught:
        check_model(read_line(raw(json.dumps(body))), ["ann"])
    assert len(str(caught.value)) <= TOLD


def test_a_bias_is_for_one_expert() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "logit_bias": {"42": -100}}
    named = read_line(raw(json.dumps({**body, "model": "ann"})))
    assert check_model(named, ["ann"]) == "ann"
    with pytest.raises(BadLine, match="name it as the model") as caught:
        check_model(read_line(raw(json.dumps({**body, "model": "coterie"}))), ["ann"])
    assert caught.value.problem.param == "body.logit_bias"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text() | JSON},
    optional={"name": JSON, "tool_calls": JSON},
)
BODY = st.fixed_dictionaries(
    {"model": st.text(), "messages": st.lists(MESSAGE, max_size=3) | JSON},
    optional={"temperature": JSON, "stop": JSON, "seed": st.integers() | JSON, "tools": JSON},
)


@settings(max_examples=300)
@given(BODY | JSON, st.text() | JSON)
def test_what_is_read_can_be_kept_and_found_again(body: Any, id: Any) -> None:
    fields = {"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    try:
        found = read_line(json.dumps(fields).encode())
    except BadLine:
        return
    question, sampling = found.request.question, found.request.sampling
    assert prompt_key(record.question_of(record.question_bytes(question))) == prompt_key(question)
    kept = json.loads(canonical(record.sampling_record(sampling)))
    assert canonical(record.sampling_of(kept)) == canonical(sampling)


@settings(max_examples=200)
@given(st.binary())
def test_any_bytes_are_a_request_or_refused(line: bytes) -> None:
    with pytest.raises(BadLine):
        read_line(line)
