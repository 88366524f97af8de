"""Several choices of one request, and the log-probabilities of what is returned."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from coterie.errors import EngineUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO = [{"role": "user", "content": "How many?"}]


def engines(kit: Any) -> list[Any]:
    return [kit.engine("good", "forty two it is"), kit.engine("bad", "41")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _running(
    shared_kit: Any, tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path
) -> AsyncIterator[Any]:
    home, rates = tmp_path_factory.mktemp("choices"), {"good": 0.95, "bad": 0.2}
    async with shared_kit.knowing(home, _migrated_file, engines(shared_kit), rates) as found:
        yield found


@pytest.fixture
def service(_running: Any, kit: Any) -> Any:
    return _running.anew(engines(kit))


async def chunks(service: Any, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a stream."""
    body = {"model": "coterie", "messages": HELLO, "stream": True, **fields}
    async with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        lines = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def told(pieces: list[dict[str, Any]]) -> dict[int, str]:
    """The text of each choice."""
    texts: dict[int, str] = {}
    for choice in (c for piece in pieces for c in piece["choices"]):
        texts.setdefault(choice["index"], "")
        texts[choice["index"]] += choice["delta"].get("content") or ""
    return texts


# --- n --------------------------------------------------------------------------------------------


async def test_each_choice_is_an_answer_of_its_own(service: Any) -> None:
    found = (await service.chat(model="coterie/all", n=3, seed=5)).json()
    assert [c["index"] for c in found["choices"]] == [0, 1, 2]
    assert {c["message"]["content"] for c in found["choices"]} == {"forty two it is"}
    good, bad = service.fleet.engines["good"], service.fleet.engines["bad"]
    assert sorted(s.seed for s in good.samplings) == [5, 6, 7]
    assert len(bad.asked) == 3
    assert all("n" not in s.extra for s in good.samplings)
    # Each of six calls has a prompt of five tokens; answers are of four words, and of one.
    assert found["usage"]["prompt_tokens"] == 30
    assert found["usage"]["completion_tokens"] == 15


async def test_each_choice_has_its_why_record(service: Any) -> None:
    id = (await service.chat(n=2)).headers["x-request-id"]
    for name in (id, f"{id}-1"):
        record = (await service.http.get(f"/v1/routes/{name}")).json()
        assert record["answer"]["expert"] == "good"
    assert (await service.http.get(f"/v1/routes/{id}-2")).status_code == 404


@pytest.mark.parametrize("strategy", ["all", "symbolic"])
async def test_choices_stream_under_their_index(service: Any, strategy: str) -> None:
    options = {"include_usage": True}
    pieces = await chunks(service, model=f"coterie/{strategy}", n=2, stream_options=options)
    assert told(pieces) == dict.fromkeys(range(2), "forty two it is")
    ends = [c for p in pieces for c in p["choices"] if c["finish_reason"]]
    assert [(c["index"], c["finish_reason"]) for c in ends] == [(0, "stop"), (1, "stop")]
    begins = [c["index"] for p in pieces for c in p["choices"] if c["delta"].get("role")]
    assert begins == [0, 1]
    *_, usage = pieces
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] == (20 if strategy == "all" else 10)
    assert len({p["id"] for p in pieces}) == 1


async def test_each_choice_is_explained(service: Any) -> None:
    found = (await service.chat(n=2, coterie={"explain": True})).json()
    assert [one["expert"] for one in found["coterie"]["choices"]] == ["good", "good"]
    *_, last = await chunks(service, n=2, coterie={"explain": True})
    assert [one["expert"] for one in last["coterie"]["choices"]] == ["good", "good"]


async def test_a_budget_is_for_all_choices_together(service: Any) -> None:
    response = await service.chat(n=4, coterie={"budget": 1.0, "explain": True})
    assert response.status_code == 200
    assert len(response.json()["choices"]) == 4


async def test_a_choice_that_fails_fails_the_request(service: Any) -> None:
    for engine in service.fleet.engines.values():
        engine.error = EngineUnavailable(engine.name, "it is gone")
    assert (await service.chat(n=2)).status_code == 503


async def test_too_many_choices_are_refused(service: Any) -> None:
    response = await service.chat(n=65)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "n"


# --- logprobs -------------------------------------------------------------------------------------


def tokens(logprobs: Any) -> str:
    return "".join(t["token"] for t in logprobs["content"])


@pytest.mark.parametrize("strategy", ["symbolic", "all"])
async def test_logprobs_are_those_of_the_text_that_is_returned(service: Any, strategy: str) -> None:
    [choice] = (await service.chat(model=f"coterie/{strategy}", logprobs=True)).json()["choices"]
    assert tokens(choice["logprobs"]) == choice["message"]["content"] == "forty two it is"


@pytest.mark.parametrize("strategy", ["symbolic", "all"])
async def test_logprobs_are_streamed_with_their_text(service: Any, strategy: str) -> None:
    pieces = await chunks(service, model=f"coterie/{strategy}", logprobs=True, top_logprobs=2)
    for choice in (c for p in pieces for c in p["choices"]):
        said = choice["delta"].get("content")
        assert tokens(choice["logprobs"]) == said if said else choice["logprobs"] is None
    assert service.fleet.engines["good"].samplings[0].extra == {"logprobs": True, "top_logprobs": 2}


async def test_a_synthesis_has_its_writers_own(service: Any) -> None:
    options = {"aggregator": "bad"}
    response = await service.chat(model="coterie/all", logprobs=True, coterie=options)
    [choice] = response.json()["choices"]
    assert tokens(choice["logprobs"]) == choice["message"]["content"] == "41"


async def test_without_being_asked_for_there_are_none(service: Any) -> None:
    [choice] = (await service.chat()).json()["choices"]
    assert choice["logprobs"] is None


@pytest.mark.parametrize("stream", [False, True])
async def test_an_expert_that_passes_them_over_is_replaced(service: Any, stream: bool) -> None:
    service.fleet.engines["good"].logprobs = False
    if stream:
        assert told(await chunks(service, logprobs=True)) == {0: "41"}
    else:
        [choice] = (await service.chat(logprobs=True)).json()["choices"]
        assert tokens(choice["logprobs"]) == "41"


@pytest.mark.parametrize("model", ["good", "coterie"])
@pytest.mark.parametrize("stream", [False, True])
async def test_where_nobody_gives_them_they_are_refused_by_name(
    service: Any, model: str, stream: bool
) -> None:
    for engine in service.fleet.engines.values():
        engine.logprobs = False
    response = await service.chat(model=model, logprobs=True, stream=stream)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "gave no 'logprobs'" in error["message"]
    if model == "good":
        assert (error["param"], error["code"]) == ("logprobs", "no_logprobs")
