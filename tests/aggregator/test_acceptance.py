"""Which answers can stand: what is empty, what misses its form, and schemas of strangers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.acceptance import form_of, says_something
from aggregator.schema import breach
from coterie.types import Completion, Usage

CHOICE = "Which is it?\nA. red\nB. green\nC. blue"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def said(text: str, **message: Any) -> Completion:
    return Completion("e", text, "stop", Usage(1, 1), 0.0, message)


def schema_format(schema: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


# --- empty ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n", "<think>well</think>", "well</think>\n"])
def test_nothing_but_space_and_reasoning_is_empty(text: str) -> None:
    assert not says_something(said(text))
    assert says_something(said(text), with_reasoning=True) == bool(text.strip())


@pytest.mark.parametrize("name", ["tool_calls", "function_call", "refusal", "audio"])
def test_a_tool_call_or_a_refusal_says_something_without_text(name: str) -> None:
    assert says_something(said("", **{name: ["x"]}))
    assert not says_something(said("", **{name: None}))


# --- forms ---------------------------------------------------------------------------------------


def test_where_nothing_is_wanted_any_words_will_do() -> None:
    form = form_of("Tell me more.", (), None)
    assert not form.wanted
    assert form.lapse(said("anything")) is None


@pytest.mark.parametrize("wanted", ["text", {"type": "text"}, {"type": "grammar"}, [], 7])
def test_formats_that_are_not_known_ask_for_nothing(wanted: Any) -> None:
    assert not form_of("Tell me more.", (), wanted).wanted


def test_a_json_object_is_wanted_whole() -> None:
    form = form_of("Who?", (), {"type": "json_object"})
    assert form.lapse(said(' {"a": 1}\n')) is None
    for text in ("[1]", "3", "{", 'Here it is: {"a": 1}', '```json\n{"a": 1}\n```'):
        assert form.lapse(said(text))


def test_a_schema_is_kept_or_the_lapse_says_where() -> None:
    form = form_of("Who?", (), schema_format(PERSON))
    assert form.lapse(said('{"name": "Ann", "age": 7}')) is None
    assert "$.age" in str(form.lapse(said('{"name": "Ann", "age": "seven"}')))
    assert "'age' is a required property" in str(form.lapse(said('{"name": "Ann"}')))


def test_who_calls_a_tool_is_bound_by_no_form() -> None:
    call = {"tool_calls": [{"id": "1", "type": "function"}]}
    assert form_of("Who?", (), schema_format(PERSON)).lapse(said("", **call)) is None


def test_a_choice_where_the_vote_read_one_stays_a_choice() -> None:
    form = form_of(CHOICE, ("A", "B"), None)
    assert form.lapse(said("Green it is. The answer is (B).")) is None
    assert form.lapse(said("It could be any of them, really.")) == "it names none of the options"
    assert not form_of(CHOICE, (), None).wanted


def test_numbers_stay_numbers() -> None:
    form = form_of("How many?", ("41", "1e+20", "-0.5"), None)
    assert form.lapse(said("So 40 + 3 = 43")) is None
    assert form.lapse(said("Quite a few of them, one way or another, I should think, or more."))
    assert not form_of("Who?", ("ann", "41"), None).wanted


# --- hostile schemas ------------------------------------------------------------------------------


def test_no_reference_is_followed_over_the_network() -> None:
    assert breach({"$ref": "http://127.0.0.1:9/schema.json"}, 1) is None


def test_references_inside_the_schema_are_followed() -> None:
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}
    assert breach(schema, 1) is None
    assert breach(schema, "1")


def test_a_schema_that_is_none_is_not_held_against_the_answer() -> None:
    for schema in ({"type": "wizard"}, {"$ref": "#"}, {"$ref": "#/nowhere"}, 7, "x", [1]):
        assert breach(schema, {"a": [1, 2]}) is None


def test_regular_expressions_are_left_to_others() -> None:
    hostile = {"type": "string", "pattern": "^(a+)+$"}
    older = {"$schema": "http://json-schema.org/draft-07/schema#", **hostile}
    keys = {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}
    long = "a" * 60 + "!"
    started = time.perf_counter()
    assert breach(hostile, long) is None
    assert breach(older, long) is None
    assert breach({"properties": {"x": older}}, {"x": long}) is None
    assert breach(keys, {long: 1}) is None
    assert time.perf_counter() - started < 5


def test_a_schema_that_grows_without_bound_is_given_up() -> None:
    doubling = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(25)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d25": {"type": "integer"}}}
    started = time.perf_counter()
    assert breach(schema, "no integer at all") is not None  # the first error is found at once
    assert breach(schema, 1) is None
    unlike = [{"n": i} for i in range(1000)]
    assert breach({"uniqueItems": True}, unlike) is None
    assert time.perf_counter() - started < 20


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["type", "items", "properties", "required", "anyOf", "$ref", "enum", "not", "$schema", "const"]
)


@given(st.dictionaries(KEYS, JSONS | st.dictionaries(KEYS, JSONS)), JSONS)
def test_any_json_for_a_schema_gives_an_answer(schema: Any, value: Any) -> None:
    found = form_of("?", (), schema_format(schema)).lapse(said(json.dumps(value)))
    assert found is None or isinstance(found, str)
