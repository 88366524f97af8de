"""Every field of a chat reaches the expert as it was sent, or is refused by name."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.clients.upstream import WORDS

pytestmark = pytest.mark.asyncio(loop_scope="session")
HELLO: Any = [{"role": "user", "content": "How many?"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}

HISTORY: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be kind.", "name": "dev"},
    {"role": "user", "content": [{"type": "text", "text": "See?"}, PICTURE], "name": "ann"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "7", "tool_call_id": "call_1"},
    {"role": "assistant", "content": "Seven.", "refusal": None},
    {"role": "user", "content": "Sure?"},
]

FIELDS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["\n\n", "END"],
    "seed": 11,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "reasoning_effort": "low",
    "verbosity": "low",
    "metadata": {"team": "red"},
    "user": "ann",
    "safety_identifier": "a1",
    "service_tier": "auto",
    "store": False,
    "parallel_tool_calls": False,
    "response_format": SCHEMA,
    "prediction": {"type": "content", "content": "x"},
    "top_k": 3,
    "chat_template_kwargs": {"enable_thinking": False},
    "of_nobody": {"deep": [1, None]},
}


@pytest.mark.parametrize("model", ["coterie", "speaker"])
@pytest.mark.parametrize("stream", [False, True])
async def test_history_and_fields_reach_the_expert_as_sent(
    served: Any, model: str, stream: bool
) -> None:
    asked = {"model": model, "messages": HISTORY, "stream": stream, **FIELDS}
    response = await served.http.post("/v1/chat/completions", json=asked)
    assert response.status_code == 200
    [body] = served.upstream.asked
    assert body["messages"] == HISTORY
    assert {name: body.get(name) for name in FIELDS} == FIELDS
    assert body["model"] == "speaker"
    assert "coterie" not in body


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_who_instructs_is_told_apart(served: Any, role: str) -> None:
    messages: Any = [{"role": role, "content": "Be brief."}, *HELLO]
    await served.openai.chat.completions.create(model="coterie", messages=messages)
    [body] = served.upstream.asked
    assert body["messages"] == messages


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
async def test_either_name_bounds_the_answer(served: Any, given: Any, most: int) -> None:
    await served.openai.chat.completions.create(model="speaker", messages=HELLO, **given)
    [body] = served.upstream.asked
    assert body["max_tokens"] == most
    assert "max_completion_tokens" not in body


@pytest.mark.parametrize("model", ["speaker", "coterie"])
async def test_a_bias_goes_to_the_one_expert_that_may_answer(served: Any, model: str) -> None:
    bias = {"42": -100}
    await served.openai.chat.completions.create(model=model, messages=HELLO, logit_bias=bias)
    [body] = served.upstream.asked
    assert body["logit_bias"] == bias


async def test_a_bias_for_several_vocabularies_is_refused(served: Any) -> None:
    experts = {"coterie": {"experts": ["speaker", "thinker"]}}
    with pytest.raises(openai.BadRequestError, match="name one as the model") as caught:
        await served.openai.chat.completions.create(
            model="coterie", messages=HELLO, logit_bias={"42": -100}, extra_body=experts
        )
    assert caught.value.param == "logit_bias"
    assert served.upstream.asked == []


async def test_what_a_stream_cannot_do_is_refused(served: Any) -> None:
    asked = {"model": "speaker", "messages": HELLO, "stream": True}
    for name in ("include_obfuscation", "continuous_usage_stats"):
        response = await served.http.post(
            "/v1/chat/completions", json={**asked, "stream_options": {name: True}}
        )
        assert response.status_code == 400
        assert name in response.json()["error"]["param"]


# --- n and logprobs of one expert ---------------------------------------------------------------


async def test_an_expert_is_asked_for_all_choices_at_once(served: Any) -> None:
    found = await served.openai.chat.completions.create(model="speaker", messages=HELLO, n=3)
    assert [(c.index, c.message.content) for c in found.choices] == [(i, WORDS) for i in range(3)]
    [body] = served.upstream.asked
    assert body["n"] == 3
    assert found.usage.total_tokens == 15  # as its server counted: the prompt once


async def test_an_experts_choices_are_streamed_as_they_come(served: Any) -> None:
    stream = await served.openai.chat.completions.create(
        model="speaker",
        messages=HELLO,
        n=2,
        logprobs=True,
        stream=True,
        stream_options={"include_usage": True},
    )
    texts, tokens, ends = {0: "", 1: ""}, {0: "", 1: ""}, []
    order = []
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            order.append(choice.index)
            if choice.logprobs:
                tokens[choice.index] += choice.logprobs.content[0].token
            if choice.finish_reason:
                ends.append((choice.index, choice.finish_reason))
    assert texts == tokens == {0: WORDS, 1: WORDS}
    assert sorted(ends) == [(0, "stop"), (1, "stop")]
    assert order.index(1) < len(order) - 1 - order[::-1].index(0)  # side by side
    assert chunk.usage.total_tokens == 15


async def test_logprobs_of_a_whole_answer(served: Any) -> None:
    found = await served.openai.chat.completions.create(
        model="coterie", messages=HELLO, logprobs=True, top_logprobs=2
    )
    [told] = found.choices[0].logprobs.content
    assert told.token == WORDS
    assert len(told.top_logprobs) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "told"),
    [({"logprobs": True}, "gave no 'logprobs'"), ({"n": 2}, "1 of the 2 choices")],
)
async def test_what_a_server_passes_over_is_refused_by_name(
    served: Any, fields: Any, told: str, stream: bool
) -> None:
    body = {"model": "cutter", "messages": HELLO, "stream": stream, **fields}
    response = await served.http.post("/v1/chat/completions", json=body)
    if stream and "n" in fields:  # known at its end
        *_, last, _ = [line for line in response.text.split("\n\n") if line]
        error = json.loads(last.removeprefix("data: "))["error"]
    else:
        assert response.status_code == 400
        error = response.json()["error"]
    assert told in error["message"]
    assert "'cutter'" in error["message"]
    assert error["param"] in fields
