"""The page of requests, and a request's own."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

HOSTILE = "<script>x</script>"


async def enter(service: Any) -> dict[str, str]:
    key = service.parts.access.admin_key
    await service.http.post("/dashboard/login", data={"key": key})
    page = await service.http.get("/dashboard/playground")
    found = re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', page.text)
    assert found
    return {"X-CSRF-Token": found[1], "HX-Request": "true"}


async def kept(service: Any, **fields: Any) -> str:
    """A request that is answered and written; its id."""
    body = {"model": "coterie/all", "messages": [{"role": "user", "content": HOSTILE}], **fields}
    answered = await service.http.post("/v1/chat/completions", json=body)
    id = str(answered.headers["x-request-id"])
    async with asyncio.timeout(5):
        while not (await service.http.get("/dashboard/requests")).text.count(id):
            await asyncio.sleep(0.02)
    return id


async def test_requests_are_listed_filtered_and_exported(service: Any) -> None:
    await enter(service)
    id = await kept(service)
    page = (await service.http.get("/dashboard/requests")).text
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    found = await service.http.get("/dashboard/requests?expert=good&since=&outcome=answered")
    assert id in found.text
    none = await service.http.get("/dashboard/requests?expert=nobody&cost_from=")
    assert "No request passes" in none.text
    exported = await service.http.get("/dashboard/requests/export?skill=sql&strategy=")
    assert json.loads(exported.text)["id"] == id


async def test_filters_suggest_what_there_is(service: Any) -> None:
    await enter(service)
    page = (await service.http.get("/dashboard/requests")).text
    for name in ("good", "coterie/all"):
        assert f'<option value="{name}">' in page
    some = (await service.http.get("/dashboard/requests/skills?skill=SQ")).text
    assert '<option value="sql">' in some
    assert "arithmetic" not in some


@pytest.mark.parametrize("query", ["agreement_below=3", "since=soon", "outcome=odd"])
async def test_a_filter_that_cannot_be_read_is_refused(service: Any, query: str) -> None:
    await enter(service)
    assert (await service.http.get(f"/dashboard/requests?{query}")).status_code == 400


async def test_a_request_shows_its_question_route_calls_and_answers(service: Any) -> None:
    await enter(service)
    page = (await service.http.get(f"/dashboard/requests/{await kept(service)}")).text
    assert HOSTILE not in page
    for told in ("&lt;script&gt;", "asked first", "Agreement", "forty two it is", "route decided"):
        assert told in page
    assert (await service.http.get("/dashboard/requests/none")).status_code == 404


async def test_an_answer_is_judged_and_the_judgement_taken_back(service: Any) -> None:
    headers = await enter(service)
    path = f"/dashboard/requests/{await kept(service)}"
    given = await service.http.post(
        f"{path}/feedback", data={"verdict": "bad", "note": HOSTILE}, headers=headers
    )
    assert given.status_code == 200, given.text
    assert "&lt;script&gt;" in given.text
    assert "said by" in (await service.http.get(path)).text
    await service.http.post(f"{path}/feedback/remove", headers=headers)
    assert "said by" not in (await service.http.get(path)).text


async def test_a_request_is_routed_otherwise_beside_how_it_was(service: Any) -> None:
    headers = await enter(service)
    path = f"/dashboard/requests/{await kept(service)}/what-if"
    found = await service.http.post(path, data={"strategy": "best-single"}, headers=headers)
    assert found.status_code == 200, found.text
    assert "Asked no more" in found.text
    wrong = await service.http.post(path, data={"snapshot": "none"}, headers=headers)
    assert wrong.headers["hx-retarget"] == "#notices"


async def test_a_request_is_erased(service: Any) -> None:
    headers = await enter(service)
    path = f"/dashboard/requests/{await kept(service)}"
    gone = await service.http.post(f"{path}/delete", headers=headers)
    assert gone.headers["hx-redirect"] == "/dashboard/requests"
    assert (await service.http.get(path)).status_code == 404
