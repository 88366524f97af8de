"""Batches and jobs belong to their key, ask whom it may ask, and pay from its budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest

from coterie.types import Question, Sampling
from orchestrator.keys.estimate import prompt_tokens

TOOK = 5 + 4


async def make(service: Any, **fields: Any) -> Any:
    body = {"name": "ada", **fields}
    response = await service.http.post("/admin/keys", json=body, headers=service.admin)
    assert response.status_code == 201, response.text
    return response.json()


@pytest.fixture
async def bearing(batches: Any, of: Callable[[Any], Any]) -> Any:
    """Batches of a key of its own."""

    async def made(**fields: Any) -> Any:
        key = await make(batches.service, **fields)
        found = of(batches.service)
        found.client = batches.client.with_options(api_key=key["key"])
        found.key = key
        return found

    return made


async def tokens(of: Any) -> tuple[int, int]:
    place = f"/admin/keys/{of.key['id']}"
    told = (await of.service.http.get(place, headers=of.service.admin)).json()["spending"]
    return told["spent"]["tokens"], told["held"]["tokens"]


async def test_what_one_key_has_made_another_does_not_see(bearing: Any, line: Any) -> None:
    ada, bob, viewer = await bearing(), await bearing(), await bearing(role="viewer")
    batch = await ada.run([line("a", model="good")])
    assert [b.id for b in (await ada.client.batches.list()).data] == [batch.id]
    assert (await bob.client.batches.list()).data == []
    assert (await bob.client.files.list()).data == []
    assert len((await viewer.client.files.list()).data) == 2
    for call in (
        bob.client.batches.retrieve(batch.id),
        bob.client.batches.cancel(batch.id),
        bob.client.files.retrieve(batch.output_file_id),
        bob.client.files.content(batch.output_file_id),
        bob.client.files.delete(batch.input_file_id),
    ):
        with pytest.raises(openai.NotFoundError):
            await call
    with pytest.raises(openai.NotFoundError):
        await bob.client.batches.create(
            input_file_id=batch.input_file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
    assert len(await viewer.lines(batch.output_file_id)) == 1


async def test_a_batch_is_paid_for_item_by_item(bearing: Any, line: Any) -> None:
    """No two texts are alike, or their answers would be asked for once."""
    texts = [f"How many? {c}" for c in "abcdefgh"]
    most = {prompt_tokens(Question.of(t), Sampling()) for t in texts}
    assert len(most) == 1
    of = await bearing(budget={"amount": most.pop() + 10 + 2 * TOOK, "unit": "tokens"})
    asked = [line(f"{i}", text, model="good", max_tokens=10) for i, text in enumerate(texts)]
    batch = await of.run(asked)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (3, 5)
    for refused in await of.lines(batch.error_file_id):
        assert refused["response"]["status_code"] == 429
        assert refused["response"]["body"]["error"]["code"] == "insufficient_quota"
    assert await tokens(of) == (3 * TOOK, 0)
    assert len(of.service.fleet.engines["good"].asked) == 3


async def test_a_batch_of_a_key_without_a_budget_is_counted(bearing: Any, line: Any) -> None:
    of = await bearing()
    fixed = {"model": "good", "temperature": 0}  # or another batch would draw anew
    await of.run([line("a", "one", **fixed), line("b", "two", **fixed)])
    assert await tokens(of) == (2 * TOOK, 0)
    await of.run([line("a", "one", **fixed)])  # kept: nobody was asked again
    assert await tokens(of) == (2 * TOOK, 0)


async def test_a_batch_asks_whom_its_key_may_ask(bearing: Any, line: Any) -> None:
    of = await bearing(experts=["bad"], strategies=["all"])
    batch = await of.run([line("a", model="coterie/all"), line("b", model="bad")])
    assert batch.request_counts.completed == 2
    assert of.service.fleet.engines["good"].asked == []
    for model in ("good", "coterie", "coterie/symbolic"):
        batch = await of.run([line("a", model=model)])
        assert batch.status == "failed"
        assert batch.errors.data[0].code in ("model_not_allowed", "model_not_found")


async def test_what_is_left_of_a_batch_fails_with_its_key(bearing: Any, line: Any) -> None:
    of = await bearing()
    of.hang("good", "slow")
    made = await of.create([line("a", "slow", model="coterie/all")])
    await of.until_stored(made.id, 1)
    keys = of.service.parts.keys
    await keys.change(replace(keys.get(of.key["id"]), revoked_at=keys._now()))
    admin = of.client.with_options(api_key=of.service.parts.access.admin_key)
    of.client = admin
    await admin.batches.cancel(made.id)
    assert (await of.over(made.id)).status == "cancelled"
    assert (await tokens(of))[1] == 0


async def test_jobs_belong_to_their_key_too(bearing: Any) -> None:
    ada, bob = await bearing(role="jobs", experts=["bad"]), await bearing(role="jobs")
    http = ada.service.http

    def by(of: Any) -> dict[str, Any]:
        return {"headers": {"Authorization": f"Bearer {of.key['key']}"}}

    spec = {"task": "demo", "limit": 1}
    made = (await http.post("/v1/jobs", json=spec, **by(ada))).json()
    assert made["spec"]["experts"] == ["bad"]
    assert [j["id"] for j in (await http.get("/v1/jobs", **by(ada))).json()["data"]] == [made["id"]]
    assert (await http.get("/v1/jobs", **by(bob))).json()["data"] == []
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/results"), ("GET", "/events")):
        asked = await http.request(method, f"/v1/jobs/{made['id']}{path}", **by(bob))
        assert asked.status_code == 404
    refused = await http.post("/v1/jobs", json={**spec, "experts": ["good"]}, **by(ada))
    assert refused.status_code == 403
    changes = await http.get("/admin/audit?action=job", headers=ada.service.admin)
    assert [c["target"] for c in changes.json()["changes"]] == [made["id"]]
