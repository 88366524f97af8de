"""Keys over HTTP: made and shown once, changed, revoked, and every change kept."""

import logging
from datetime import timedelta
from typing import Any

import pytest

from coterie.db import utcnow

HELLO = [{"role": "user", "content": "How many?"}]


async def make(service: Any, **fields: Any) -> dict[str, Any]:
    body = {"name": "ada", **fields}
    response = await service.http.post("/admin/keys", json=body, headers=service.admin)
    assert response.status_code == 201, response.text
    return dict(response.json())


def bearing(key: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['key']}"}


async def chat(service: Any, key: dict[str, Any], **fields: Any) -> Any:
    body = {"model": "coterie", "messages": HELLO, **fields}
    return await service.http.post("/v1/chat/completions", json=body, headers=bearing(key))


async def test_a_key_is_shown_once(service: Any) -> None:
    made = await make(service, role="viewer", contents="hashed")
    assert made["key"].startswith("ctr_")
    assert made["key"].startswith(made["prefix"])
    listed = await service.http.get("/admin/keys", headers=bearing(made))
    assert made["key"] not in listed.text
    [found] = listed.json()["keys"]
    assert found.keys() == made.keys() - {"key"}
    assert (found["role"], found["contents"], found["created_by"]) == (
        "viewer",
        "hashed",
        "admin-file",
    )
    one = await service.http.get(f"/admin/keys/{made['id']}", headers=service.admin)
    assert one.json()["name"] == "ada"
    assert one.json()["last_used_at"]


async def test_a_key_is_changed_and_revoked(service: Any) -> None:
    made = await make(service)
    place = f"/admin/keys/{made['id']}"
    assert (await chat(service, made)).status_code == 200
    soon = (utcnow() + timedelta(days=1)).isoformat()
    body = {"role": "viewer", "expires_at": soon, "budget": {"amount": 2.5}}
    changed = await service.http.patch(place, json=body, headers=service.admin)
    assert changed.json()["budget"] == {"amount": 2.5, "unit": "usd", "period": "month"}
    assert changed.json()["name"] == "ada"
    refused = await chat(service, made)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_not_allowed")
    assert (await service.http.delete(place, headers=service.admin)).json()["revoked_at"]
    refused = await service.http.get("/v1/models", headers=bearing(made))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    again = await service.http.patch(place, json={"name": "b"}, headers=service.admin)
    assert again.status_code == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"experts": ["nobody"]}, "experts"),
        ({"strategies": ["best"]}, "strategies"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"budget": {"amount": -1}}, "budget.amount"),
        ({"budget": {"amount": 1, "period": "year"}}, "budget.period"),
        ({"rates": {"requests": 0}}, "rates.requests"),
        ({"role": "king"}, "role"),
        ({"name": ""}, "name"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(service: Any, fields: Any, param: str) -> None:
    body = {"name": "ada", **fields}
    response = await service.http.post("/admin/keys", json=body, headers=service.admin)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    unknown = await service.http.patch("/admin/keys/none", json={}, headers=service.admin)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "key_not_found")


async def test_a_key_asks_the_experts_it_may_ask_and_no_other(service: Any) -> None:
    made = await make(service, experts=["bad"])
    models = (await service.http.get("/v1/models", headers=bearing(made))).json()["data"]
    assert "good" not in {m["id"] for m in models}
    for model in ("coterie", "coterie/all", "bad"):
        answered = await chat(service, made, model=model)
        assert answered.headers["x-coterie-experts"] == "bad"
    refused = await chat(service, made, model="good")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert service.fleet.engines["good"].asked == []
    switched = "/admin/experts/bad/disable"
    await service.http.post(switched, headers=service.admin)
    nobody = await chat(service, made)
    assert nobody.status_code == 503
    assert "this key may ask (bad)" in nobody.json()["error"]["message"]


async def test_a_key_uses_the_strategies_it_may_use_and_no_other(service: Any) -> None:
    made = await make(service, strategies=["best-single", "random"])
    answered = await chat(service, made)
    assert answered.headers["x-coterie-strategy"] == "best-single"
    refused = await chat(service, made, model="coterie/all")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert (await chat(service, made, model="good")).status_code == 200


async def test_requests_bear_the_key_that_they_came_with(service: Any) -> None:
    ada, bob = await make(service, contents="none"), await make(service, name="bob")
    id = (await chat(service, ada)).headers["x-request-id"]
    record = await service.http.get(f"/v1/routes/{id}", headers=bearing(ada))
    assert (record.json()["key"], record.json()["contents"]) == (ada["id"], "none")
    assert (await service.http.get(f"/v1/routes/{id}", headers=bearing(bob))).status_code == 404
    assert (await service.http.get(f"/v1/routes/{id}")).status_code == 404
    viewer = await make(service, role="viewer")
    assert (await service.http.get(f"/v1/routes/{id}", headers=bearing(viewer))).status_code == 200


async def test_every_change_is_kept_with_who_made_it(service: Any) -> None:
    admin = await make(service, name="root", role="admin")
    by = {"headers": bearing(admin)}
    entry = {"name": "new", "kind": "openai", "model": "m", "endpoint": "http://127.0.0.1:9"}
    await service.http.post("/admin/experts", json=entry, **by)
    await service.http.post("/admin/experts/new/disable", **by)
    await service.http.post("/admin/experts/new/enable", **by)
    await service.http.put("/admin/experts/new", json={**entry, "description": "d"}, **by)
    await service.http.delete("/admin/experts/new", **by)
    await service.http.post("/admin/synonyms/merge", json={"keyword": "q", "skill": "sql"}, **by)
    await service.http.post("/admin/synonyms/split", json={"keyword": "q"}, **by)
    await service.http.post("/admin/snapshots/made-up/activate", **by)
    key = await make(service)
    await service.http.patch(f"/admin/keys/{key['id']}", json={"name": "b"}, **by)
    await service.http.delete(f"/admin/keys/{key['id']}", **by)
    page = await service.http.get("/admin/audit", **by)
    changes = page.json()["changes"]
    assert [c["action"] for c in reversed(changes)] == [
        "key.create",
        "expert.add",
        "expert.disable",
        "expert.enable",
        "expert.replace",
        "expert.remove",
        *(
            ["synonym.merge", "synonym.split"]
            if any("synonym" in c["action"] for c in changes)
            else []
        ),
        "snapshot.activate",
        "key.create",
        "key.change",
        "key.revoke",
    ]
    revoked, changed, created = changes[:3]
    assert (revoked["caller"], revoked["name"], revoked["target"]) == (
        admin["id"],
        "root",
        key["id"],
    )
    assert changed["detail"] == {"name": {"from": "ada", "to": "b"}}
    assert created["caller"] == "admin-file"
    first = await service.http.get("/admin/audit?limit=2", **by)
    assert first.json()["has_more"]
    before = first.json()["changes"][-1]["id"]
    rest = await service.http.get(f"/admin/audit?before={before}&action=key", **by)
    assert [c["action"] for c in rest.json()["changes"]] == ["key.create", "key.create"]
    assert not rest.json()["has_more"]


async def test_a_key_is_told_nowhere_again(service: Any, caplog: Any) -> None:
    """What is refused, logged and kept is searched for the key's secret part."""
    caplog.set_level(logging.DEBUG)
    made = await make(service, role="admin", rates={"requests": 20, "tokens": 10_000})
    secret = made["key"][len(made["prefix"]) :]
    told = [(await chat(service, made)).text]
    told += [(await chat(service, made, model="nope")).text]
    wrong = {"key": made["key"][:-1]}
    told += [(await chat(service, wrong)).text]
    for path in ("/admin/keys", f"/admin/keys/{made['id']}", "/admin/audit", "/admin/experts"):
        told.append((await service.http.get(path, headers=bearing(made))).text)
    await service.http.delete(f"/admin/keys/{made['id']}", headers=service.admin)
    told += [(await chat(service, made)).text, caplog.text, repr(service.parts.keys.list())]
    told += [str(r) for r in await service.parts.traces.recent(100)]
    assert not any(secret[:-1] in text for text in told)
    settings = service.parts.settings
    await service.parts.traces.aclose()
    files = [f for f in settings.home.rglob("*") if f.is_file()]
    assert files
    assert not any(secret.encode() in f.read_bytes() for f in files)
