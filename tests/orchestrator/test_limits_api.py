"""What a key may take, held before a request and settled after it, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coterie.errors import EngineTimeout
from coterie.types import Question, Sampling, Usage
from orchestrator.keys.estimate import prompt_tokens

HELLO = [{"role": "user", "content": "How many?"}]
PROMPT = prompt_tokens(Question.of("How many?"), Sampling())
TOOK = 5 + 4  # what the expert "good" says that it took: its prompt, and "forty two it is"


async def make(service: Any, **fields: Any) -> Any:
    body = {"name": "ada", **fields}
    response = await service.http.post("/admin/keys", json=body, headers=service.admin)
    assert response.status_code == 201, response.text
    return response.json()


def budget(tokens: float) -> dict[str, Any]:
    return {"amount": tokens, "unit": "tokens", "period": "month"}


async def chat(service: Any, key: Any, **fields: Any) -> Any:
    body = {"model": "good", "messages": HELLO, "max_tokens": 10, **fields}
    headers = {"Authorization": f"Bearer {key['key']}"}
    return await service.http.post("/v1/chat/completions", json=body, headers=headers)


async def spending(service: Any, key: Any) -> tuple[int, int]:
    """Tokens that are spent, and held."""
    await service.parts.meter.write()
    found = await service.http.get(f"/admin/keys/{key['id']}", headers=service.admin)
    told = found.json()["spending"]
    return told["spent"]["tokens"], told["held"]["tokens"]


async def test_a_budget_is_held_to(service: Any) -> None:
    key = await make(service, budget=budget(PROMPT + 10 + TOOK))
    for n in (1, 2):
        assert (await chat(service, key)).status_code == 200
        assert await spending(service, key) == (n * TOOK, 0)
    refused = await chat(service, key)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert f"{2 * TOOK} tokens are spent" in error["message"]
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["x-should-retry"] == "false"
    assert await spending(service, key) == (2 * TOOK, 0)
    assert (await chat(service, key, max_tokens=1)).status_code == 200  # that much is left


async def test_every_call_of_an_answer_is_spent(service: Any) -> None:
    key = await make(service, budget=budget(100_000))
    answered = await chat(service, key, model="coterie/all")
    assert await spending(service, key) == (answered.json()["usage"]["total_tokens"], 0)


async def test_a_stream_is_settled_when_it_ends(service: Any) -> None:
    key = await make(service, budget=budget(1000))
    assert "[DONE]" in (await chat(service, key, stream=True)).text
    assert await spending(service, key) == (TOOK, 0)


async def test_a_stream_that_is_cut_costs_what_was_sent(service: Any, kit: Any) -> None:
    key = await make(service, budget=budget(1000))
    service.fleet.engines["good"].hang = True  # after its first word
    body = {"model": "good", "messages": HELLO, "max_tokens": 10, "stream": True}
    headers = {"Authorization": f"Bearer {key['key']}"}
    send = service.http.stream("POST", "/v1/chat/completions", json=body, headers=headers)
    async with send as response:
        async for line in response.aiter_lines():
            if "forty" in line:
                break
        assert (await spending(service, key))[1] == PROMPT + 10
    async with asyncio.timeout(5):
        while (found := await spending(service, key))[1]:
            await asyncio.sleep(0.01)
    assert PROMPT < found[0] < PROMPT + 10


async def test_a_failure_costs_what_it_took(service: Any) -> None:
    key = await make(service, budget=budget(1000))
    service.fleet.engines["good"].error = error = EngineTimeout("good", "too slow")
    error.usage = Usage(5, 2)
    assert (await chat(service, key)).status_code == 504
    assert await spending(service, key) == (7, 0)


async def test_requests_side_by_side_do_not_overspend(service: Any) -> None:
    key = await make(service, budget=budget(3 * (PROMPT + 10)))
    answers = await asyncio.gather(*(chat(service, key) for _ in range(12)))
    statuses = [a.status_code for a in answers]
    assert set(statuses) == {200, 429}
    assert (await spending(service, key))[0] == statuses.count(200) * TOOK


async def test_all_choices_of_a_request_are_held_or_none(service: Any) -> None:
    key = await make(service, budget=budget(3 * (PROMPT + 10)))
    one_each = {"model": "coterie/best-single", "coterie": {"k": 1}}
    for asked in ({"n": 4, "stream": True}, {"n": 4, **one_each}, {"n": 4, "model": "good"}):
        assert (await chat(service, key, **asked)).status_code == 429
        assert await spending(service, key) == (0, 0)
    assert service.fleet.engines["good"].asked == []
    assert (await chat(service, key, n=3, **one_each)).status_code == 200
    assert await spending(service, key) == (3 * TOOK, 0)


async def test_rates_are_told_and_kept(service: Any) -> None:
    key = await make(service, rates={"requests": 2, "tokens": 1000})
    first = await chat(service, key)
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    streamed = await chat(service, key, stream=True)
    assert streamed.headers["x-ratelimit-remaining-requests"] == "0"
    refused = await chat(service, key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(service.fleet.engines["good"].asked) == 2


@pytest.mark.parametrize("closed", [False, True])
async def test_chat_survives_a_database_that_is_away(
    kit: Any, tmp_path: Any, sqlite_url: str, monkeypatch: Any, closed: bool
) -> None:
    from coterie.errors import StoreUnavailable

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the database cannot be reached: it is gone")

    engines = [kit.engine("good", "forty two it is")]
    environ = {"COTERIE_LIMITS_WHEN_AWAY": "closed"} if closed else {}
    async with kit.running(tmp_path, sqlite_url, engines, **environ) as service:
        plain, limited = await make(service), await make(service, budget=budget(1000))
        for store in (service.parts.keys._store, service.parts.ledger):
            for name in ("all", "state", "hold", "settle"):
                if hasattr(store, name):
                    monkeypatch.setattr(store, name, away)
        assert (await chat(service, plain)).status_code == 200
        assert (await chat(service, limited)).status_code == (503 if closed else 200)
        never = {"key": "ctr_" + "n" * 32}
        refused = await chat(service, never)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            503,
            "database_unavailable",
        )
        assert "never seen by this server" in refused.json()["error"]["message"]
        monkeypatch.undo()
