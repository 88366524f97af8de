"""Where experts may be: told when one is registered, and held to at every connection."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from coterie.errors import ConfigurationError, EngineProtocolError, EngineUnavailable
from coterie.types import Question, Sampling
from orchestrator.engines.http import create_client
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.retry import RetryPolicy
from orchestrator.engines.target import Target
from orchestrator.networks import AddressRefused, Networks
from orchestrator.settings import Settings
from tests.orchestrator.engines.engine_clocks import SystemClock
from tests.orchestrator.engines.engine_upstream import Upstream, running_upstream

ELSEWHERE = Networks.of(["10.0.0.0/8", "fd00::/8"])
LOOPBACK = Networks.of(["127.0.0.0/8", "::1/128"])
QUESTION, ANY = Question.of("who"), Sampling()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


async def ask(url: str, networks: Networks) -> str:
    async with create_client(networks=networks) as client:
        engine = OpenAIEngine(
            Target("law", url, "m"),
            client,
            clock=SystemClock(),
            rng=random.Random(0),
            retry=RetryPolicy(max_tries=1),
        )
        return (await engine.complete(QUESTION, ANY)).text


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("169.254.169.254", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:169.254.169.254", False),
        ("fd12::1", True),
        ("fe80::1%eth0", False),
    ],
)
def test_an_address_is_in_a_network_or_is_not(address: str, allowed: bool) -> None:
    assert ELSEWHERE.allows(address) is allowed
    assert Networks().allows(address)


async def test_a_server_outside_is_never_connected_to(upstream: Upstream) -> None:
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1 is in none of the networks"):
        await ask(upstream.url, ELSEWHERE)
    assert upstream.paths == []
    assert await ask(upstream.url, LOOPBACK) == "Paris it is"


async def test_a_name_that_stands_for_another_address_by_now_is_not_followed(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = aiohttp.ThreadedResolver.resolve

    async def rebound(self: Any, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        assert host == "expert.example"
        return await resolve(self, "127.0.0.1", port, socket.AF_INET)

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", rebound)
    monkeypatch.setattr("aiohttp.connector.DefaultResolver.resolve", rebound)
    url = upstream.url.replace("127.0.0.1", "expert.example")
    with pytest.raises(EngineUnavailable, match="in none of the networks"):
        await ask(url, ELSEWHERE)
    assert upstream.paths == []
    assert await ask(url, LOOPBACK) == "Paris it is"


async def test_a_redirect_is_followed_nowhere(upstream: Upstream) -> None:
    async with running_upstream() as other:
        from fastapi.responses import RedirectResponse

        upstream.says(lambda request: RedirectResponse(f"{other.url}/v1/chat/completions", 307))
        with pytest.raises(EngineProtocolError, match="answered 307 where 200 was expected"):
            await ask(upstream.url, Networks())
        assert other.paths == []


async def test_urls_are_looked_up_when_an_expert_is_registered() -> None:
    for url in ("http://127.0.0.1:8000", "http://localhost:8000", "http://2130706433/"):
        with pytest.raises(AddressRefused):
            await ELSEWHERE.check_url(url)
    await ELSEWHERE.check_url("http://10.0.0.1:8000")
    await ELSEWHERE.check_url("http://no-such-host.invalid")
    await Networks().check_url("http://127.0.0.1")


@pytest.mark.parametrize("verify", ["true", "false"])
async def test_the_api_refuses_experts_outside(
    kit: Any, tmp_path: Path, sqlite_url: str, verify: str
) -> None:
    networks = {"COTERIE_EXPERT_NETWORKS": "10.0.0.0/8"}
    async with kit.running(tmp_path, sqlite_url, [kit.engine("a")], **networks) as service:
        entry = {"name": "new", "kind": "openai", "model": "m"}
        for servers in (
            {"endpoint": "http://169.254.169.254/latest"},
            {"endpoints": ["http://10.0.0.1", "http://127.0.0.1:6379"]},
        ):
            refused = await service.http.post(
                f"/admin/experts?verify={verify}", json={**entry, **servers}, headers=service.admin
            )
            assert refused.status_code == 400
            assert "in none of the networks" in refused.json()["error"]["message"]
        allowed = await service.http.post(
            f"/admin/experts?verify={verify}",
            json={**entry, "endpoint": "http://10.0.0.1"},
            headers=service.admin,
        )
        assert allowed.status_code == 201


def test_a_network_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"COTERIE_EXPERT_NETWORKS.*must be networks"):
        Settings.load({"COTERIE_EXPERT_NETWORKS": "10.0.0.0/8,internal"})
    given = {"COTERIE_EXPERT_NETWORKS": "10.0.0.0/8, fd00::/8"}
    assert Settings.load(given).networks == ELSEWHERE
