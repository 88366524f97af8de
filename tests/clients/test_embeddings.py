"""``/v1/embeddings`` and ``/v1/models`` by openai-python."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest

from coterie.db import utcnow
from orchestrator.keys.budget import Budget
from orchestrator.keys.key import ApiKey, Role

JSON = {"Content-Type": "application/json"}
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_encoder_of_questions_embeds(served: Any) -> None:
    found = await served.openai.embeddings.create(
        model="coterie-embedder", input=["tea for two", "no"]
    )
    assert [e.index for e in found.data] == [0, 1]
    vectors = np.array([e.embedding for e in found.data])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert found.usage.prompt_tokens == found.usage.total_tokens == 4


async def test_a_registered_model_embeds_in_the_order_of_the_texts(served: Any) -> None:
    found = await served.openai.embeddings.create(
        model="embedder", input=["a", "abc"], dimensions=4
    )
    assert [e.embedding for e in found.data] == [[1, 0.5, 0.5, 0.5], [3, 0.5, 0.5, 0.5]]
    assert found.usage.prompt_tokens == 8
    assert found.usage.cost_usd == pytest.approx(8 * 2 / 1e6)
    assert served.upstream.asked[-1]["model"] == "embedder-there"


@pytest.mark.parametrize("model", ["coterie-embedder", "embedder"])
async def test_both_formats_hold_the_same_numbers(served: Any, model: str) -> None:
    body = {"model": model, "input": "tea for two"}
    [plain] = (await served.http.post("/v1/embeddings", json=body)).json()["data"]
    packed = {**body, "encoding_format": "base64"}
    [coded] = (await served.http.post("/v1/embeddings", json=packed)).json()["data"]
    read = np.frombuffer(base64.b64decode(coded["embedding"]), dtype="<f4")
    assert read == pytest.approx(plain["embedding"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "coterie-embedder", "dimensions": 3}, "dimensions"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ["a \ud800 half"]}, "input"),
        ({"model": "coterie-embedder", "input": "no " * 33}, "input"),
        ({"model": "speaker"}, "model"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_by_name(
    served: Any, fields: dict[str, Any], param: str
) -> None:
    body = {"model": "embedder", "input": "tea", **fields}
    told = await served.http.post("/v1/embeddings", content=json.dumps(body), headers=JSON)
    assert told.status_code == 400
    assert told.json()["error"]["param"] == param
    assert served.upstream.asked == []


async def test_an_unknown_model_is_not_found_and_the_known_are_told(served: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="coterie-embedder, embedder"):
        await served.openai.embeddings.create(model="nobody", input="tea")


@pytest.mark.parametrize("model", ["coterie-embedder", "embedder"])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "?"}]}),
        ("responses", {"input": "?"}),
        ("completions", {"prompt": "?"}),
    ],
)
async def test_an_embedding_model_is_never_chatted_with(
    served: Any, model: str, path: str, fields: dict[str, Any]
) -> None:
    told = await served.http.post(f"/v1/{path}", json={"model": model, **fields})
    assert told.status_code == 400
    assert "/v1/embeddings" in told.json()["error"]["message"]


async def test_an_embedding_model_is_never_recruited(served: Any) -> None:
    assert [e.name for e in served.parts.roster.recruited] == ["speaker"]
    told = await served.http.get("/v1/models/embedder")
    assert told.json()["recruited"] is False


async def test_keys_and_budgets_hold_for_vectors(served: Any) -> None:
    budget = Budget(20, "tokens", "day")
    key = ApiKey("", "vectors", Role.CHAT, "", utcnow(), experts=("embedder",), budget=budget)
    _, secret = await served.parts.keys.create(replace(key, name=f"vectors-{utcnow()}"))
    client = served.openai.with_options(api_key=secret)
    with pytest.raises(openai.PermissionDeniedError, match="coterie-embedder"):
        await client.embeddings.create(model="coterie-embedder", input="tea")
    await client.embeddings.create(model="embedder", input="tea")
    await served.parts.meter.write()
    with pytest.raises(openai.RateLimitError, match="4 tokens are spent"):
        await client.embeddings.create(model="embedder", input="tea " * 40)


async def test_models_say_what_they_are(served: Any) -> None:
    models = {m.id: m async for m in served.openai.models.list()}
    assert models["coterie"].context_length == 4096
    assert "symbolic" in models["coterie"].strategies
    assert models["coterie/symbolic"].kind == "strategy"
    speaker = await served.openai.models.retrieve("speaker")
    assert speaker == models["speaker"]
    assert speaker.kind == "openai"
    assert speaker.recruited
    assert "/v1/responses" in speaker.endpoints
    assert models["embedder"].endpoints == ["/v1/embeddings"]
    assert models["embedder"].prices == {"prompt": 2.0, "completion": 0.0}
    assert (await served.openai.models.retrieve("coterie/symbolic")).id == "coterie/symbolic"
    with pytest.raises(openai.NotFoundError, match="speaker"):
        await served.openai.models.retrieve("nobody")
