"""Database and Redis stopped and started under a running gateway: chat goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import schema
from tests.flows.components import MortalPostgres
from tests.flows.gateway import Gateway, answers, gateway, servers, text_of

ANSWER = "forty two it is"
WRITTEN = "coterie_why_records_written_total"


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[MortalPostgres]:
    server = MortalPostgres()
    try:
        server.start()
        yield server
    finally:
        server.clear_up()


@pytest.mark.parametrize("when_away", ["open", "closed"])
async def test_chat_goes_on_without_database_and_redis(
    when_away: str, tmp_path: Path, mortal_postgres: MortalPostgres, mortal_valkey: Any
) -> None:
    mortal_postgres.wait_until_up()
    url = mortal_postgres.fresh(f"outage-{when_away}")
    await schema.upgrade(url)
    environ = {"REDIS_URL": mortal_valkey.url, "COTERIE_LIMITS_WHEN_AWAY": when_away}
    async with servers(answers) as (good,):
        experts = [{"name": "good", "endpoint": good.url}]
        async with gateway(tmp_path, experts, database_url=url, **environ) as found:
            limited, free = await found.new_key(rates={"requests": 1000}), await found.new_key()
            for key in (limited, free):
                assert text_of(await found.chat(key=key)) == ANSWER
            await _redis_goes(found, mortal_valkey, limited, free, when_away)
            await _database_goes(found, mortal_postgres, free)


async def _redis_goes(found: Gateway, valkey: Any, limited: str, free: str, when_away: str) -> None:
    valkey.kill()
    assert text_of(await found.chat(key=free)) == ANSWER
    response = await found.chat(key=limited)
    if when_away == "open":
        assert text_of(response) == ANSWER
    else:
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
    valkey.start()
    async with asyncio.timeout(10):
        while (await found.chat(key=limited)).status_code != 200:
            await asyncio.sleep(0.1)


async def _database_goes(found: Gateway, postgres: MortalPostgres, free: str) -> None:
    await _written(found)
    postgres.kill()
    metrics = found.parts.observer.metrics
    written = metrics.value(WRITTEN)
    ids = []
    for stream in (False, True):
        response = await found.chat(key=free, stream=stream)
        assert text_of(response) == ANSWER
        ids.append(response.headers["x-request-id"])
    ready = await found.http.get("/health/readiness")
    assert ready.status_code == 200
    assert "answering from the last registry read" in ready.json()["database"]
    listed = await found.http.get("/admin/audit", headers=found.admin)
    assert listed.status_code == 503
    assert int(listed.headers["retry-after"]) > 0
    postgres.start()
    postgres.wait_until_up()
    async with asyncio.timeout(15):
        while metrics.value(WRITTEN) < written + len(ids):
            await asyncio.sleep(0.05)
    for id in ids:
        assert (await found.http.get(f"/v1/routes/{id}", headers=found.admin)).status_code == 200
    assert found.parts.traces.dropped == 0


async def _written(found: Gateway) -> None:
    """Returns once no record waits."""
    async with asyncio.timeout(10):
        while found.parts.traces._waiting:
            await asyncio.sleep(0.02)
