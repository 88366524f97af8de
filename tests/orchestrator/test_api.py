"""The HTTP surface, through the official client and real sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from coterie.errors import EngineRejected, EngineUnavailable
from orchestrator.routing import OFFERED

HELLO = [{"role": "user", "content": "How many?"}]


async def test_the_official_client_gets_an_answer(service: Any) -> None:
    raw = await service.openai.chat.completions.with_raw_response.create(
        model="coterie", messages=HELLO, temperature=0
    )
    found = raw.parse()
    assert found.choices[0].message.content == "forty two it is"
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.total_tokens == 9
    assert raw.headers["x-coterie-experts"] == "good"
    assert raw.headers["x-coterie-strategy"] == "symbolic"
    assert float(raw.headers["x-coterie-overhead-ms"]) >= 0


async def test_the_official_client_streams(service: Any) -> None:
    stream = await service.openai.chat.completions.create(
        model="coterie", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "forty two it is"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 9
    assert len({c.id for c in chunks}) == 1


async def test_without_include_usage_no_chunk_carries_usage(service: Any) -> None:
    async with service.http.stream(
        "POST", "/v1/chat/completions", json={"model": "coterie", "messages": HELLO, "stream": True}
    ) as response:
        lines = [line async for line in response.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all('"usage"' not in line for line in lines)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-coterie-experts"] == "good"


async def test_usage_is_summed_over_every_call(service: Any) -> None:
    found = await service.openai.chat.completions.create(model="coterie/majority", messages=HELLO)
    assert found.usage is not None
    assert found.usage.prompt_tokens == 10
    assert found.usage.completion_tokens == 5


@pytest.mark.parametrize("strategy", OFFERED)
async def test_every_strategy_answers(service: Any, strategy: str) -> None:
    response = await service.chat(model=f"coterie/{strategy}")
    assert response.status_code == 200
    record = await service.http.get(f"/v1/routes/{response.headers['x-request-id']}")
    assert record.json()["reason"]


async def test_the_oracle_is_for_evaluations_alone(service: Any) -> None:
    response = await service.chat(model="coterie/oracle")
    assert response.status_code == 400
    assert "coterie eval replay" in response.json()["error"]["message"]


async def test_an_expert_can_be_asked_by_name(service: Any) -> None:
    raw = await service.openai.chat.completions.with_raw_response.create(
        model="bad", messages=HELLO
    )
    assert raw.parse().choices[0].message.content == "41"
    assert raw.headers["x-coterie-strategy"] == "direct"


async def test_the_whole_history_reaches_the_expert(service: Any) -> None:
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "content": "7", "tool_call_id": "1"},
        {"role": "user", "content": "So?", "name": "ann"},
    ]
    response = await service.chat(messages=history, top_k=3)
    assert response.status_code == 200
    engine = service.fleet.engines["good"]
    assert [m.as_dict() for m in engine.asked[0].messages] == history
    assert engine.samplings[0].extra == {"top_k": 3}


async def test_every_request_has_a_why_record(service: Any) -> None:
    id = (await service.chat()).headers["x-request-id"]
    record = (await service.http.get(f"/v1/routes/{id}")).json()
    assert record["status"] == "answered"
    assert record["skills"] == [{"skill": "sql", "weight": 1.0, "similarity": 0.7}]
    assert [c["expert"] for c in record["candidates"]] == ["good", "bad"]
    assert record["chosen"] == ["good"]
    assert record["answers"][0]["text"] == "forty two it is"
    assert record["usage"]["total_tokens"] == 9
    assert record["agreement"] == pytest.approx(0.95)
    assert set(record["steps_ms"]) >= {"infer", "route", "ask", "judge"}
    assert (await service.http.get("/v1/routes/nothing")).status_code == 404


async def test_a_route_can_be_had_without_asking_anyone(service: Any) -> None:
    body = {"model": "coterie", "messages": HELLO}
    record = (await service.http.post("/v1/routes", json=body)).json()
    assert record["chosen"] == ["good"]
    assert service.fleet.engines["good"].asked == []


async def test_a_failed_expert_is_replaced_and_the_record_says_so(service: Any) -> None:
    service.fleet.engines["good"].error = EngineUnavailable("good", "its server is gone")
    response = await service.chat()
    assert response.json()["choices"][0]["message"]["content"] == "41"
    record = (await service.http.get(f"/v1/routes/{response.headers['x-request-id']}")).json()
    assert record["failures"][0]["expert"] == "good"
    assert "its server is gone" in record["failures"][0]["error"]


async def test_a_stream_that_breaks_ends_with_an_error_event(service: Any) -> None:
    engine = service.fleet.engines["good"]
    engine.error, engine.words = EngineUnavailable("good", "it died"), 2
    body = {"model": "coterie", "messages": HELLO, "stream": True}
    async with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        lines = [line async for line in response.aiter_lines() if line]
    assert "it died" in json.loads(lines[-2].removeprefix("data: "))["error"]["message"]
    assert lines[-1] == "data: [DONE]"
    with pytest.raises(openai.APIError, match="it died"):
        async for _ in await service.openai.chat.completions.create(
            model="coterie", messages=HELLO, stream=True
        ):
            pass


async def test_a_caller_that_leaves_cancels_the_work(service: Any) -> None:
    engine = service.fleet.engines["good"]
    engine.hang = True
    call = asyncio.create_task(service.chat())
    async with asyncio.timeout(5):
        while not engine.asked:
            await asyncio.sleep(0.01)
        call.cancel()
        while not engine.cancelled:
            await asyncio.sleep(0.01)


async def test_a_stream_whose_reader_leaves_is_cancelled(service: Any) -> None:
    engine = service.fleet.engines["good"]
    engine.hang = True
    body = {"model": "coterie", "messages": HELLO, "stream": True}
    async with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if "forty" in line:
                break
    async with asyncio.timeout(5):
        while not engine.cancelled:
            await asyncio.sleep(0.01)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["gpt-4", "coterie/clairvoyant", "coterie/"])
async def test_an_unknown_model_is_404(service: Any, model: str) -> None:
    response = await service.chat(model=model)
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"
    assert "coterie/symbolic" in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 65}, "n"),
        ({"model": ""}, "model"),
    ],
)
async def test_a_malformed_body_is_400_naming_the_field(
    service: Any, fields: dict[str, Any], param: str
) -> None:
    response = await service.chat(**fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff\xfe"])
async def test_what_is_not_a_request_is_400(service: Any, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = await service.http.post("/v1/chat/completions", content=content, headers=headers)
    assert response.status_code == 400
    assert "error" in response.json()


async def test_an_over_long_prompt_is_context_length_exceeded(service: Any) -> None:
    rejected = EngineRejected("good", "2048 tokens at most", code="context_length_exceeded")
    for engine in service.fleet.engines.values():
        engine.error = rejected
    for model in ("coterie", "good"):
        response = await service.chat(model=model)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "context_length_exceeded"


async def test_nothing_enabled_is_503_with_the_command_that_mends_it(service: Any) -> None:
    for name in ("good", "bad"):
        done = await service.http.post(f"/admin/experts/{name}/disable", headers=service.admin)
        assert done.status_code == 200
    response = await service.chat()
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "coterie experts enable" in response.json()["error"]["message"]
    assert (await service.chat(model="good")).status_code == 404


# --- models, health, status ---------------------------------------------------------------------


async def test_models_are_the_coterie_its_strategies_and_its_experts(service: Any) -> None:
    ids = [m.id async for m in service.openai.models.list()]
    assert ids[0] == "coterie"
    assert {"coterie/symbolic", "coterie/best-single", "good", "bad"} <= set(ids)


async def test_health_and_readiness(service: Any) -> None:
    assert (await service.http.get("/health")).json()["status"] == "ok"
    ready = await service.http.get("/health/readiness")
    assert ready.status_code == 200
    assert ready.json()["experts"] == {"bad": "ok", "good": "ok"}
    assert ready.json()["database"] == "ok"
    service.fleet.engines.clear()
    assert (await service.http.get("/health/readiness")).status_code == 503


# --- access and registry ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/experts"),
        ("POST", "/admin/experts"),
        ("DELETE", "/admin/experts/good"),
        ("POST", "/admin/experts/good/disable"),
        ("POST", "/admin/profiles"),
        ("GET", "/admin/profiles"),
        ("GET", "/admin/snapshots"),
        ("POST", "/admin/snapshots"),
        ("POST", "/admin/snapshots/made-up/activate"),
        ("DELETE", "/admin/snapshots/made-up"),
        ("GET", "/admin/synonyms"),
        ("GET", "/admin/synonyms/suggestions"),
        ("POST", "/admin/synonyms/merge"),
        ("POST", "/admin/synonyms/split"),
    ],
)
async def test_the_registry_needs_the_admin_key(service: Any, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        response = await service.http.request(method, path, headers=headers)
        assert response.status_code == 401
        assert service.parts.access.admin_key not in response.text


async def test_keys_live_in_files_only_their_owner_can_read(service: Any) -> None:
    settings = service.parts.settings
    for file in (settings.admin_key_file, settings.chat_key_file):
        assert file.stat().st_mode & 0o777 == 0o600
    assert service.parts.access.admin_key not in repr(service.parts.access)


async def test_chat_needs_a_key_where_one_is_required(
    kit: Any, tmp_path: Path, sqlite_url: str
) -> None:
    engines = [kit.engine("a")]
    async with kit.running(tmp_path, sqlite_url, engines, COTERIE_REQUIRE_KEY="1") as service:
        assert (await service.chat()).status_code == 401
        assert (await service.http.get("/v1/models")).status_code == 401
        assert (await service.http.get("/health")).status_code == 200
        key = {"Authorization": f"Bearer {service.parts.access.chat_key}"}
        assert (await service.http.get("/v1/models", headers=key)).status_code == 200
        assert (await service.http.get("/admin/experts", headers=key)).status_code == 403


async def test_a_foreign_host_name_is_refused_on_loopback(service: Any) -> None:
    response = await service.http.get("/v1/models", headers={"Host": "evil.example"})
    assert response.status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_a_foreign_page_can_send_is_not_a_request(service: Any, kind: str) -> None:
    """A page may post these types across origins without asking; JSON it may not."""
    body = json.dumps({"model": "coterie", "messages": HELLO})
    headers = {"Content-Type": kind} if kind else {}
    posted = await service.http.post("/v1/chat/completions", content=body, headers=headers)
    assert posted.status_code == 400
    assert service.fleet.engines["good"].asked == []


async def test_an_expert_is_added_asked_and_removed(service: Any, kit: Any) -> None:
    service.fleet.engines["new"] = kit.engine("new", "new here")
    entry = {"name": "new", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
    post = service.http.post
    assert (await post("/admin/experts", json=entry, headers=service.admin)).status_code == 201
    assert (await service.chat(model="new")).json()["choices"][0]["message"][
        "content"
    ] == "new here"
    again = await post("/admin/experts", json=entry, headers=service.admin)
    assert again.status_code == 409
    tried = await post("/admin/experts/new/test", headers=service.admin)
    assert tried.json()["ok"] is True
    gone = await service.http.delete("/admin/experts/new", headers=service.admin)
    assert gone.status_code == 204
    assert (await service.chat(model="new")).status_code == 404


async def test_an_unreachable_endpoint_is_refused_unless_told(service: Any) -> None:
    service.fleet.unreachable.add("new")
    entry = {"name": "new", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
    refused = await service.http.post("/admin/experts", json=entry, headers=service.admin)
    assert refused.status_code == 400
    assert "connection refused" in refused.json()["error"]["message"]
    forced = await service.http.post(
        "/admin/experts?verify=false", json=entry, headers=service.admin
    )
    assert forced.status_code == 201


async def test_no_key_of_an_endpoint_ever_comes_back(
    kit: Any, tmp_path: Path, sqlite_url: str
) -> None:
    secret = "sk-very-secret-value"
    async with kit.running(tmp_path, sqlite_url, [kit.engine("a")], EXPERT_KEY=secret) as service:
        entry = {
            "name": "k",
            "kind": "openai",
            "model": "m",
            "endpoint": "http://127.0.0.1:9",
            "api_key_env": "EXPERT_KEY",
        }
        added = await service.http.post("/admin/experts", json=entry, headers=service.admin)
        assert added.json()["api_key_env"] == "EXPERT_KEY"
        for path in ("/admin/experts", "/v1/models", "/health/readiness", "/", "/openapi.json"):
            page = await service.http.get(path, headers=service.admin)
            assert secret not in page.text
        assert secret not in repr(service.parts)
