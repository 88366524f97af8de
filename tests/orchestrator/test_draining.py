"""An expert that is drained gets no new requests and ends what it has begun."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coterie.errors import EngineUnavailable
from coterie.types import Question, Sampling


@pytest.fixture
async def hanging(service: Any) -> Any:
    """A call to ``good`` that goes on until the event that comes with it is set."""
    expert, going = service.fleet.engines["good"], asyncio.Event()
    complete = expert.complete

    async def slowly(question: Question, sampling: Sampling) -> Any:
        await going.wait()
        return await complete(question, sampling)

    expert.complete = slowly
    call = asyncio.create_task(service.chat(model="good"))
    while not service.parts.roster.gate("good").inside:
        await asyncio.sleep(0)
    yield call, going
    going.set()
    await call


async def post(service: Any, path: str) -> Any:
    return await service.http.post(f"/admin/experts/{path}", headers=service.admin)


async def row(service: Any, name: str) -> Any:
    body = (await service.http.get("/admin/experts", headers=service.admin)).json()
    return next(e for e in body["experts"] if e["name"] == name)


async def drained(service: Any) -> None:
    async with asyncio.timeout(5):
        while service.parts.draining.names or "good" in service.fleet.synced:
            await asyncio.sleep(0)


async def test_its_engine_stays_until_the_last_call_is_over(service: Any, hanging: Any) -> None:
    call, going = hanging
    assert (await post(service, "good/drain")).status_code == 200
    found = await row(service, "good")
    assert (found["enabled"], found["draining"]) == (False, True)
    assert "good" in service.fleet.synced
    refused = await service.chat(model="good")
    assert refused.status_code == 404
    assert not call.done()
    going.set()
    assert (await call).status_code == 200
    await drained(service)
    assert (await row(service, "good"))["draining"] is False


async def test_even_who_had_chosen_it_before_asks_another(service: Any, hanging: Any) -> None:
    await post(service, "good/drain")
    with pytest.raises(EngineUnavailable, match="drained"):
        service.parts.roster.engine("good")
    answered = await service.chat()
    assert answered.headers["x-coterie-experts"] == "bad"


async def test_to_disable_it_meanwhile_ends_its_engine_at_once(service: Any, hanging: Any) -> None:
    await post(service, "good/drain")
    await post(service, "good/disable")
    assert "good" not in service.fleet.synced
    assert not service.parts.draining.names


async def test_to_enable_it_meanwhile_is_to_go_on(service: Any, hanging: Any) -> None:
    call, going = hanging
    await post(service, "good/drain")
    await post(service, "good/enable")
    going.set()
    assert (await call).status_code == 200
    assert (await service.chat(model="good")).status_code == 200
    assert "good" in service.fleet.synced


async def test_where_nothing_runs_it_is_disabled_at_once(service: Any) -> None:
    await post(service, "good/drain")
    assert not service.parts.draining.names
    assert "good" not in service.fleet.synced


async def test_what_another_server_disabled_drains_here(service: Any, hanging: Any) -> None:
    await service.parts.registry.disable("good")
    await service.parts.refresh()
    assert service.parts.draining.names == {"good"}
