"""``/v1/completions`` by openai-python: a prompt is a chat of one turn."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.clients.upstream import WORDS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_prompt_is_asked_as_a_turn_of_a_user(served: Any) -> None:
    found = await served.openai.completions.create(
        model="coterie", prompt="How many?", max_tokens=9, temperature=0, stop="\n"
    )
    [choice] = found.choices
    assert (choice.text, choice.finish_reason, choice.index) == (WORDS, "stop", 0)
    assert found.object == "text_completion"
    assert found.usage.total_tokens == 15
    [asked] = served.upstream.asked
    assert asked["messages"] == [{"role": "user", "content": "How many?"}]
    assert (asked["max_tokens"], asked["temperature"], asked["stop"]) == (9, 0, ["\n"])


async def test_each_prompt_has_n_choices_in_its_place(served: Any) -> None:
    found = await served.openai.completions.create(
        model="speaker", prompt=["one", "two"], n=2, seed=7, echo=True
    )
    assert [c.text for c in found.choices] == [f"{p}{WORDS}" for p in ("one", "one", "two", "two")]
    assert [c.index for c in found.choices] == [0, 1, 2, 3]
    assert found.usage.total_tokens == 4 * 15
    assert sorted(a["seed"] for a in served.upstream.asked) == [7, 7, 8, 8]


async def test_every_choice_has_a_why_record(served: Any) -> None:
    raw = await served.openai.completions.with_raw_response.create(model="speaker", prompt="a", n=2)
    id = raw.headers["x-request-id"]
    for name in (id, f"{id}-1"):
        record = await served.http.get(f"/v1/routes/{name}")
        assert record.status_code == 200


async def test_a_stream_tells_all_choices_and_the_usage(served: Any) -> None:
    stream = await served.openai.completions.create(
        model="speaker",
        prompt=["one", "two"],
        echo=True,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    for index, prompt in enumerate(("one", "two")):
        pieces = [c.choices[0] for c in chunks if c.choices and c.choices[0].index == index]
        assert "".join(p.text for p in pieces) == prompt + WORDS
        assert pieces[-1].finish_reason == "stop"
        assert len(pieces) > 3
    assert chunks[-1].usage.total_tokens == 30
    assert chunks[0].usage is None


async def test_a_stream_ends_with_done_and_has_comments(served: Any) -> None:
    served.upstream.pause_s = 0.35
    body = {"model": "speaker", "prompt": "How many?", "stream": True}
    told = await served.http.post("/v1/completions", json=body)
    assert ": waiting for speaker" in told.text
    assert told.text.endswith("data: [DONE]\n\n")


async def test_what_fails_in_a_stream_is_an_error_event(served: Any) -> None:
    body = {"model": "breaker", "prompt": ["one", "two"], "stream": True}
    told = await served.http.post("/v1/completions", json=body)
    *_, error, done = [line for line in told.text.splitlines() if line.startswith("data: ")]
    assert "out of memory" in error
    assert told.text.count('"error"') == 1
    assert done == "data: [DONE]"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_before_has_a_status(served: Any, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="no such word"):
        await served.openai.completions.create(model="refuser", prompt=["a", "b"], stream=stream)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suffix", "the end"),
        ("logprobs", 0),
        ("best_of", 3),
        ("prompt", [1, 2, 3]),
        ("prompt", [[1, 2], [3]]),
        ("prompt", []),
        ("n", 65),
    ],
)
async def test_what_a_chat_cannot_do_is_refused_by_name(
    served: Any, field: str, value: Any
) -> None:
    body = {"model": "speaker", "prompt": "How many?", field: value}
    told = await served.http.post("/v1/completions", json=body)
    assert told.status_code == 400
    assert told.json()["error"]["param"] == field
    assert served.upstream.asked == []
