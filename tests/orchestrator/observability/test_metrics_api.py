"""GET /metrics tells what happened, to whoever may look, in few labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from coterie.errors import EngineRejected, EngineTimeout
from orchestrator.api import create_app
from orchestrator.observability.catalogue import CATALOGUE
from tests.flows.gateway import Call, answers, gateway, servers

KEY = "a-key-for-scraping"


class Scrape:
    """What was scraped, by name and labels."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.names = {family.name for family in families}
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(ls)[label] for n, ls in self.samples if n == name}


async def scrape(http: httpx.AsyncClient, headers: dict[str, str]) -> Scrape:
    response = await http.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(response.text)


async def test_a_question_is_counted_from_the_request_to_the_calls(service: Any) -> None:
    assert (await service.chat(model="coterie/all")).status_code == 200
    found = await scrape(service.http, service.admin)
    endpoint = "/v1/chat/completions"
    assert found("coterie_requests_total", method="POST", endpoint=endpoint, status="2xx") == 1
    assert found("coterie_request_seconds_count", endpoint=endpoint) == 1
    assert found("coterie_routes_total", strategy="all") == 1
    assert found("coterie_routed_experts_total", strategy="all", expert="bad") == 1
    assert found("coterie_answers_total", strategy="all", outcome="answered") == 1
    assert found("coterie_agreement_count", strategy="all") == 1
    assert found("coterie_overhead_seconds_count") == 1
    for step in ("infer", "route", "ask", "judge", "answer"):
        assert found("coterie_step_seconds_count", step=step) == 1
    for expert, words in (("good", 4), ("bad", 1)):
        calls = found("coterie_expert_calls_total", expert=expert, role="answer", result="ok")
        assert calls == 1
        assert found("coterie_tokens_total", expert=expert, direction="input") == 5
        assert found("coterie_tokens_total", expert=expert, direction="output") == words
        assert found("coterie_expert_up", expert=expert) == 1
    assert found("coterie_database_up") == 1
    assert found("coterie_build_info", version="0.1.0") == 1
    assert found("coterie_requests_in_progress") == 1, "the scrape itself"


async def test_a_stream_tells_when_it_began(service: Any) -> None:
    response = await service.chat(model="good", stream=True)
    assert "[DONE]" in response.text
    found = await scrape(service.http, service.admin)
    assert found("coterie_first_token_seconds_count") == 1
    assert found("coterie_answers_total", strategy="direct", outcome="answered") == 1


async def test_failures_are_counted_by_their_kind(service: Any) -> None:
    service.fleet.engines["good"].error = EngineTimeout("good", "too slow")
    assert (await service.chat(model="coterie/best-single")).status_code == 200
    service.fleet.engines["bad"].error = EngineRejected("bad", "no", status=400, code="made_up")
    assert (await service.chat(model="bad")).status_code == 400
    found = await scrape(service.http, service.admin)
    calls = "coterie_expert_calls_total"
    assert found(calls, expert="good", role="answer", result="timeout") == 1
    assert found(calls, expert="bad", role="answer", result="ok") == 1
    assert found(calls, expert="bad", role="answer", result="rejected") == 1
    assert found("coterie_answers_total", strategy="direct", outcome="failed") == 1
    assert "made_up" not in str(found.samples), "what a server makes up is no label"


async def test_what_anybody_may_send_is_no_label(service: Any) -> None:
    for n in range(3):
        await service.http.get(f"/nothing/{n}")
        await service.http.request(f"METHOD{n}", "/health")
        await service.chat(model=f"nobody-{n}")
        await service.http.get(f"/v1/routes/{n}", headers=service.admin)
    await service.http.get("/dashboard/made-up")
    found = await scrape(service.http, service.admin)
    requests = "coterie_requests_total"
    assert found(requests, method="GET", endpoint="other", status="4xx") == 3
    assert found(requests, method="GET", endpoint="/v1/routes/{id}", status="4xx") == 3
    assert found.labels(requests, "method") <= {"GET", "POST", "other"}
    paths = {getattr(r, "path", "") for r in create_app(service.parts).routes}
    assert found.labels(requests, "endpoint") <= paths | {"other", "/dashboard"}
    assert "nobody" not in str(found.samples)


async def test_an_expert_that_is_gone_is_other(service: Any) -> None:
    metrics = service.parts.observer.metrics
    assert metrics.expert("good") == "good"
    assert metrics.expert("gone") == "other"


@pytest.fixture
def anywhere(kit: Any, tmp_path: Path, sqlite_url: str) -> Any:
    def made(**environ: str) -> Any:
        return kit.running(tmp_path, sqlite_url, [kit.engine("a")], **environ)

    return made


async def test_a_key_for_scraping_opens_metrics_and_nothing_else(anywhere: Any) -> None:
    async with anywhere(COTERIE_METRICS_KEY=KEY, COTERIE_REQUIRE_KEY="1") as service:
        bearer = {"Authorization": f"Bearer {KEY}"}
        await scrape(service.http, bearer)
        for path in ("/admin/experts", "/v1/routes", "/v1/models"):
            assert (await service.http.get(path, headers=bearer)).status_code == 401
        for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}):
            refused = await service.http.get("/metrics", headers=headers)
            assert refused.status_code == 401
        found = await scrape(service.http, bearer)
        assert found("coterie_refused_total", reason="key") == 6


async def test_metrics_are_open_where_the_settings_say_so(anywhere: Any) -> None:
    async with anywhere(COTERIE_METRICS_OPEN="1", COTERIE_REQUIRE_KEY="1") as service:
        await scrape(service.http, {})


async def test_every_metric_is_there_from_the_start(service: Any) -> None:
    found = await scrape(service.http, service.admin)
    assert {metric.name for metric in CATALOGUE} <= found.names


async def breaks(call: Call) -> None:
    await call.says("{}", "500 Internal Server Error")


async def test_breakers_queues_and_refusals_are_seen(tmp_path: Path, sqlite_url: str) -> None:
    async with servers(breaks, answers) as (broken, good):
        experts = [
            {"name": "broken", "endpoint": broken.url},
            {"name": "good", "endpoint": good.url, "limits": {"concurrency": 2}},
        ]
        async with gateway(tmp_path, experts, database_url=sqlite_url) as found:
            for _ in range(8):
                await found.chat(model="broken")
            await found.chat(model="good")
            limited = await found.new_key(rates={"requests": 1})
            statuses = [(await found.chat(model="good", key=limited)).status_code for _ in "12"]
            assert statuses == [200, 429]
            seen = await scrape(found.http, found.admin)
    assert seen("coterie_breaker_state", expert="broken", server=broken.url) == 2
    assert seen("coterie_breaker_state", expert="good", server=good.url) == 0
    assert seen("coterie_expert_up", expert="good") == 1
    assert seen("coterie_expert_queue_depth", expert="good") == 0
    assert seen("coterie_refused_total", reason="rate") == 1
    assert seen("coterie_answers_total", strategy="direct", outcome="failed") == 8
