"""What the playground sends beside the tokens of an answer."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from orchestrator.api.dashboard.timeline import timeline


async def enter(service: Any) -> dict[str, str]:
    """Logs in; the headers that a change needs."""
    key = service.parts.access.admin_key
    await service.http.post("/dashboard/login", data={"key": key})
    page = await service.http.get("/dashboard/playground")
    assert page.status_code == 200
    found = re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', page.text)
    assert found
    return {"X-CSRF-Token": found[1], "Accept": "application/json"}


async def ask(service: Any, headers: dict[str, str], **fields: Any) -> httpx.Response:
    body = {"model": "coterie", "messages": [{"role": "user", "content": "How many?"}], **fields}
    answered: httpx.Response = await service.http.post(
        "/dashboard/playground/ask", json=body, headers=headers
    )
    return answered


def told(response: httpx.Response) -> dict[str, list[Any]]:
    """The events of a stream by name."""
    found: dict[str, list[Any]] = {"route": [], "answering": [], "message": []}
    for block in response.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines.get("data", "[DONE]") != "[DONE]":
            found[lines.get("event", "message")].append(json.loads(lines["data"]))
    return found


async def test_every_model_that_may_be_named_is_offered(service: Any) -> None:
    await enter(service)
    page = (await service.http.get("/dashboard/playground?model=good&beside=coterie/all")).text
    for name in ("coterie", "coterie/symbolic", "bad"):
        assert f"<option>{name}</option>" in page or f"<option selected>{name}</option>" in page
    assert "<option selected>good</option>" in page
    assert "<option selected>coterie/all</option>" in page


async def test_the_route_goes_out_before_the_answer_and_its_end_after(service: Any) -> None:
    headers = await enter(service)
    events = told(await ask(service, headers, model="coterie/all"))
    [route] = events["route"]
    assert "good" in route
    assert "asked first" in route
    assert "Choosing whom to ask" in events["answering"][0]
    assert any("data-since" in html for html in events["answering"])
    end = events["answering"][-1]
    assert "Agreement" in end
    assert "/dashboard/requests/" in end
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in events["message"][:-1])
    assert said == "forty two it is"
    assert events["message"][-1]["usage"]["completion_tokens"] == 5


async def test_its_requests_are_recorded_with_when_each_call_began(service: Any) -> None:
    headers = await enter(service)
    await ask(service, headers, model="coterie/all")
    [record] = await service.parts.traces.recent(1)
    assert record["status"] == "answered"
    assert "waiting" not in record
    assert all(call["start_ms"] >= 0 for call in record["calls"])


async def test_what_it_cannot_answer_is_told_as_json(service: Any) -> None:
    headers = await enter(service)
    refused = await ask(service, headers, model="nobody")
    assert refused.status_code == 404
    assert "nobody" in refused.json()["error"]["message"]
    assert (await ask(service, {"Accept": "application/json"})).status_code == 403


async def test_a_failure_is_an_event_and_stands_in_the_piece_beside(service: Any) -> None:
    headers = await enter(service)
    del service.fleet.engines["bad"]
    events = told(await ask(service, headers, model="bad"))
    assert "it is starting" in events["message"][-1]["error"]["message"]
    assert "failed" in events["answering"][-1]


def test_a_record_without_starts_has_its_calls_begin_with_their_step() -> None:
    steps = {"infer": 10.0, "route": 5.0, "ask": 80.0, "judge": 5.0}
    call = {"expert": "a", "role": "answer", "latency_ms": 80.0, "error": None}
    found = timeline({"steps_ms": steps, "calls": [call]})
    [bar] = [b for b in found.bars if b.expert == "a"]
    assert (bar.since_ms, bar.x, bar.width) == (15.0, 15.0, 80.0)
    assert found.total_ms == 100.0


def test_a_call_under_way_reaches_to_what_is_known() -> None:
    waits = {"experts": ["b"], "role": "answer", "since_ms": 20.0}
    call = {"expert": "a", "role": "answer", "latency_ms": 80.0, "start_ms": 20.0}
    found = timeline({"calls": [call], "waiting": waits})
    bar = next(b for b in found.bars if b.expert == "b")
    assert bar.took_ms is None
    assert (bar.x, bar.width) == (20.0, 80.0)
