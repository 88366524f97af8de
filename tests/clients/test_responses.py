"""``/v1/responses`` by openai-python, plain and streamed."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.clients.upstream import WORDS

pytestmark = pytest.mark.asyncio(loop_scope="session")
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


async def events_of(served: Any, **fields: Any) -> list[Any]:
    stream = await served.openai.responses.create(stream=True, **fields)
    return [event async for event in stream]


async def test_a_text_is_answered(served: Any) -> None:
    raw = await served.openai.responses.with_raw_response.create(
        model="coterie", input="How many?", instructions="Be brief.", metadata={"run": "7"}
    )
    found = raw.parse()
    assert found.output_text == WORDS
    assert found.status == "completed"
    assert found.usage.input_tokens == 7
    assert found.usage.total_tokens == 15
    assert found.metadata == {"run": "7"}
    assert raw.headers["x-coterie-experts"] == "speaker"
    assert served.upstream.asked[-1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many?"},
    ]
    record = await served.http.get(f"/v1/routes/{raw.headers['x-request-id']}")
    assert record.status_code == 200


@pytest.mark.parametrize("model", ["speaker", "thinker", "cutter"])
@pytest.mark.parametrize("stream", [False, True])
async def test_every_object_is_what_the_official_types_say(
    served: Any, model: str, stream: bool
) -> None:
    body = {"model": model, "input": "How many?", "stream": stream}
    told = await served.http.post("/v1/responses", json=body)
    if not stream:
        TypeAdapter(Response).validate_json(told.content)
        return
    data = [x.removeprefix("data: ") for x in told.text.splitlines() if x.startswith("data: ")]
    kinds = [x.removeprefix("event: ") for x in told.text.splitlines() if x.startswith("event: ")]
    events = [TypeAdapter(ResponseStreamEvent).validate_json(one) for one in data]
    assert [e.type for e in events] == kinds
    assert [e.sequence_number for e in events] == list(range(len(events)))


async def test_a_stream_tells_its_events_in_order(served: Any) -> None:
    events = await events_of(served, model="coterie", input="How many?")
    kinds = [e.type for e in events]
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == WORDS == events[-1].response.output_text
    assert kinds.count("response.output_text.delta") > 1
    assert events[-1].response.usage.output_tokens == 8
    assert {e.item_id for e in events if hasattr(e, "item_id")} == {events[-2].item.id}


async def test_what_was_thought_is_an_item_before_the_answer(served: Any) -> None:
    plain = await served.openai.responses.create(model="thinker", input="How many?")
    streamed = (await events_of(served, model="thinker", input="How many?"))[-1].response
    for found in (plain, streamed):
        assert [item.type for item in found.output] == ["reasoning", "message"]
        assert found.output[0].content[0].text == "Six times seven."
        assert found.output_text == WORDS


@pytest.mark.parametrize("stream", [False, True])
async def test_a_function_is_called_and_its_result_answered(served: Any, stream: bool) -> None:
    asked = [{"role": "user", "content": "How warm is Paris?"}]
    fields = {"model": "speaker", "tools": [TOOL], "tool_choice": "auto"}
    if stream:
        events = await events_of(served, input=asked, **fields)
        assert [e.delta for e in events if e.type.endswith("arguments.delta")] == [
            '{"cit',
            'y": "Paris"}',
        ]
        found = events[-1].response
    else:
        found = await served.openai.responses.create(input=asked, **fields)
    [call] = found.output
    assert (call.type, call.name, call.call_id) == ("function_call", "weather", "call_1")
    assert json.loads(call.arguments) == {"city": "Paris"}
    [tool] = served.upstream.asked[-1]["tools"]
    assert tool["function"]["parameters"] == TOOL["parameters"]

    result = {"type": "function_call_output", "call_id": call.call_id, "output": "31 °C"}
    turns = [*asked, *(item.model_dump() for item in found.output), result]
    after = await served.openai.responses.create(input=turns, **fields)
    assert after.output_text == WORDS
    messages = served.upstream.asked[-1]["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == "call_1"


async def test_an_answer_becomes_a_turn_of_the_next_question(served: Any) -> None:
    first = await served.openai.responses.create(model="thinker", input="How many?")
    turns = [*(item.model_dump() for item in first.output), {"role": "user", "content": "Why?"}]
    await served.openai.responses.create(model="speaker", input=turns)
    assert served.upstream.asked[-1]["messages"] == [
        {"role": "assistant", "content": WORDS},
        {"role": "user", "content": "Why?"},
    ]


async def test_pictures_and_texts_become_the_parts_of_a_message(served: Any) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
    parts = [{"type": "input_text", "text": "What is it?"}, picture]
    turn = {"role": "user", "content": parts}
    await served.openai.responses.create(model="speaker", input=[turn])
    [message] = served.upstream.asked[-1]["messages"]
    assert message["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": picture["image_url"], "detail": "low"}},
    ]


class Number(BaseModel):
    n: int


async def test_a_form_is_asked_for_and_read(served: Any) -> None:
    found = await served.openai.responses.parse(
        model="speaker", input="How many?", text_format=Number, reasoning={"effort": "low"}
    )
    assert found.output_parsed == Number(n=42)
    asked = served.upstream.asked[-1]
    assert asked["response_format"]["json_schema"]["name"] == "Number"
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert asked["reasoning_effort"] == "low"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_cut_is_incomplete(served: Any, stream: bool) -> None:
    fields = {"model": "cutter", "input": "How many?", "max_output_tokens": 8}
    if stream:
        events = await events_of(served, **fields)
        assert events[-1].type == "response.incomplete"
        found = events[-1].response
    else:
        found = await served.openai.responses.create(**fields)
    assert found.status == found.output[0].status == "incomplete"
    assert found.incomplete_details.reason == "max_output_tokens"
    assert served.upstream.asked[-1]["max_tokens"] == 8


async def test_what_fails_in_a_stream_ends_it_as_failed(served: Any) -> None:
    events = await events_of(served, model="breaker", input="How many?")
    assert events[-1].type == "response.failed"
    found = events[-1].response
    assert found.status == "failed"
    assert "out of memory" in found.error.message
    assert found.output[0].status == "incomplete"


async def test_what_fails_before_a_stream_has_a_status(served: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="no such word"):
        await events_of(served, model="refuser", input="How many?")


async def test_comments_come_while_nothing_else_does(served: Any) -> None:
    served.upstream.pause_s = 0.35
    body = {"model": "speaker", "input": "How many?", "stream": True}
    told = await served.http.post("/v1/responses", json=body)
    assert ": waiting for speaker" in told.text
    assert "[DONE]" not in told.text
    events = await events_of(served, model="speaker", input="How many?")
    assert events[-1].response.output_text == WORDS


async def test_nothing_is_stored_and_the_answer_says_so(served: Any) -> None:
    told = await served.http.post(
        "/v1/responses", json={"model": "speaker", "input": "How many?", "store": True}
    )
    assert told.json()["store"] is False
    assert "store" not in served.upstream.asked[-1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
        ("truncation", "auto"),
        ("include", ["file_search_call.results"]),
        ("tools", [{"type": "web_search"}]),
        ("tool_choice", {"type": "file_search"}),
        ("text", {"format": {"type": "grammar"}}),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
        ("input", [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]),
        ("input", [{"role": "nobody", "content": "How many?"}]),
        ("input", []),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(
    served: Any, field: str, value: Any
) -> None:
    body = {"model": "speaker", "input": "How many?", "tools": [TOOL], field: value}
    told = await served.http.post("/v1/responses", json=body)
    assert told.status_code == 400
    error = told.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert field in error["message"] or "messages" in error["message"]
    assert served.upstream.asked == []


async def test_a_field_that_asks_for_nothing_is_no_fault(served: Any) -> None:
    silent = {"previous_response_id": None, "background": False, "truncation": "disabled"}
    found = await served.openai.responses.create(model="speaker", input="How many?", **silent)
    assert found.output_text == WORDS
