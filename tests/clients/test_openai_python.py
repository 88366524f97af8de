"""openai-python, unmodified: chats, streams, tools, and each error as the class that it expects."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from coterie.db import utcnow
from orchestrator.keys.key import ApiKey, Role
from tests.clients.upstream import WORDS

pytestmark = pytest.mark.asyncio(loop_scope="session")
HELLO: Any = [{"role": "user", "content": "How many?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]


async def test_a_chat_is_answered(served: Any) -> None:
    found = await served.openai.chat.completions.create(model="coterie", messages=HELLO)
    assert found.choices[0].message.content == WORDS
    assert found.usage.total_tokens == 15


async def test_the_helper_for_streams_gathers_text_and_usage(served: Any) -> None:
    options = {"include_usage": True}
    async with served.openai.chat.completions.stream(
        model="coterie", messages=HELLO, stream_options=options
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == WORDS
    assert final.usage.total_tokens == 15


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called(served: Any, stream: bool) -> None:
    chats = served.openai.chat.completions
    asked = {"model": "speaker", "messages": HELLO, "tools": TOOLS}
    if stream:
        async with chats.stream(**asked) as events:
            found = await events.get_final_completion()
    else:
        found = await chats.create(**asked)
    [call] = found.choices[0].message.tool_calls
    assert found.choices[0].finish_reason == "tool_calls"
    assert (call.id, call.function.name) == ("call_1", "weather")
    assert json.loads(call.function.arguments) == {"city": "Paris"}


async def test_what_breaks_off_a_stream_is_an_error_of_the_client(served: Any) -> None:
    stream = await served.openai.chat.completions.create(
        model="breaker", messages=HELLO, stream=True
    )
    with pytest.raises(openai.APIError, match="out of memory"):
        _ = [chunk async for chunk in stream]


async def ask(client: openai.AsyncOpenAI, path: str, **fields: Any) -> Any:
    """Asks any of the endpoints, so that errors can be compared."""
    if path == "chat":
        return await client.chat.completions.create(messages=HELLO, **fields)
    if path == "responses":
        return await client.responses.create(input="How many?", **fields)
    if path == "completions":
        return await client.completions.create(prompt="How many?", **fields)
    fields.pop("temperature", None)
    return await client.embeddings.create(input="How many?", **fields)


PATHS = ("chat", "responses", "completions", "embeddings")


@pytest.mark.parametrize("path", PATHS)
async def test_a_wrong_key_is_an_authentication_error(served: Any, path: str) -> None:
    client = served.openai.with_options(api_key="wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        await ask(client, path, model="coterie")
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_for_looking_may_not_ask(served: Any, path: str) -> None:
    _, secret = await served.parts.keys.create(ApiKey("", path, Role.VIEWER, "", utcnow()))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await ask(served.openai.with_options(api_key=secret), path, model="coterie")
    assert caught.value.code == "role_not_allowed"


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_model_is_not_found(served: Any, path: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await ask(served.openai, path, model="nobody")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("path", PATHS[:3])
async def test_a_field_out_of_range_is_a_bad_request(served: Any, path: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(served.openai, path, model="coterie", temperature=7)
    assert caught.value.param == "temperature"


@pytest.mark.parametrize("path", PATHS[:3])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_expert_refuses_is_a_bad_request(
    served: Any, path: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError, match="no such word"):
        await ask(served.openai, path, model="refuser", stream=stream)
