"""Requests that need more than text reach who is capable of it, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from coterie.errors import EngineUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SEE = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
CALLS = {"tools": TOOLS, "tool_choice": "auto"}


def engines(kit: Any) -> list[Any]:
    """``eyes`` takes images, ``hands`` and ``fists`` call tools; ``words`` does neither."""
    tools = {"capabilities": ["tools", "json_schema"]}
    return [
        kit.engine("eyes", "A cat.", entry={"capabilities": ["images", "logprobs"]}),
        kit.engine("fists", "7", entry=tools),
        kit.engine("hands", "7", entry=tools),
        kit.engine("words", "Words.", entry={"capabilities": []}),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _able(
    shared_kit: Any, tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path
) -> AsyncIterator[Any]:
    home = tmp_path_factory.mktemp("able")
    async with shared_kit.knowing(home, _migrated_file, engines(shared_kit), {}) as found:
        yield found


@pytest.fixture
def able(_able: Any, kit: Any) -> Any:
    return _able.anew(engines(kit))


def asked(service: Any) -> dict[str, int]:
    counts = {name: len(engine.asked) for name, engine in service.fleet.engines.items()}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("strategy", ["all", "symbolic", "random", "cascade", "best-single"])
async def test_images_reach_experts_that_take_them_and_nobody_else(
    able: Any, strategy: str
) -> None:
    response = await able.chat(model=f"coterie/{strategy}", messages=SEE)
    assert response.json()["choices"][0]["message"]["content"] == "A cat."
    assert asked(able) == {"eyes": 1}
    assert able.fleet.engines["eyes"].asked[0].messages[0].content == SEE[0]["content"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": SEE, **CALLS}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages"),
        ({"logprobs": True, **CALLS}, "logprobs"),
    ],
)
async def test_what_nobody_is_capable_of_is_refused_by_name(
    able: Any, fields: Any, param: str
) -> None:
    response = await able.chat(**fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "capabilities: [" in error["message"]
    assert error["param"] in (param, "tools")
    assert asked(able) == {}


async def test_a_named_expert_gets_the_request_all_the_same(able: Any) -> None:
    response = await able.chat(model="words", messages=SEE, **CALLS)
    assert response.json()["choices"][0]["message"]["content"] == "Words."
    assert able.fleet.engines["words"].samplings[0].extra == CALLS


async def test_a_capable_expert_that_is_away_is_not_stood_in_for(able: Any) -> None:
    del able.fleet.engines["eyes"]
    response = await able.chat(messages=SEE)
    assert response.status_code == 503
    assert "starting" in response.json()["error"]["message"]
    assert asked(able) == {}


@pytest.mark.parametrize("strategy", ["all", "symbolic", "auto", "cascade", "adaptive", "coe"])
async def test_a_turn_that_calls_tools_goes_to_one_expert(able: Any, strategy: str) -> None:
    response = await able.chat(model=f"coterie/{strategy}", **CALLS)
    assert response.status_code == 200
    assert sum(asked(able).values()) == 1
    assert asked(able).keys() <= {"hands", "fists"}
    record = (await able.http.get(f"/v1/routes/{response.headers['x-request-id']}")).json()
    assert record["reason"].endswith("one answers, as it may call a tool")
    assert record["wishes"] == {"alone": True}


async def test_tools_that_are_not_to_be_called_leave_the_vote(able: Any) -> None:
    await able.chat(model="coterie/all", tools=TOOLS, tool_choice="none")
    assert asked(able) == {"hands": 1, "fists": 1}


async def test_another_expert_stands_in_for_one_that_fails_at_a_tool(able: Any, kit: Any) -> None:
    able.fleet.engines["fists"].error = EngineUnavailable("fists", "it is gone")
    response = await able.chat(model="coterie/all", **CALLS)
    assert response.status_code == 200
    assert response.headers["x-coterie-experts"] == "hands"


@pytest.mark.parametrize("strategy", ["all", "symbolic", "random"])
async def test_a_tools_result_goes_to_whoever_called_it(able: Any, strategy: str) -> None:
    user = {"role": "user", "content": "Weather?"}
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    for caller in ("hands", "fists"):
        asked_first = [{**user, "content": f"Weather for {caller}?"}]
        await able.chat(model=caller, messages=asked_first, **CALLS)
        before = len(able.fleet.engines[caller].asked)
        said = {"role": "assistant", "content": "7", "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "1", "content": "rain"}
        talk = [*asked_first, said, result]
        response = await able.chat(model=f"coterie/{strategy}", messages=talk, **CALLS)
        assert response.headers["x-coterie-experts"] == caller
        assert len(able.fleet.engines[caller].asked) == before + 1


async def test_models_say_what_experts_are_capable_of(able: Any) -> None:
    listed = (await able.http.get("/v1/models")).json()["data"]
    found = {m["id"]: m["capabilities"] for m in listed if m["kind"] == "openai"}
    assert found["eyes"] == ["images", "logprobs"]
    assert found["words"] == []
