"""`coterie keys` works on the database, and a server that runs notices."""

import json
from typing import Any


async def test_keys_are_made_listed_and_revoked(coterie: Any, service: Any) -> None:
    assert "no keys yet" in (await coterie("keys", "list")).output
    made = await coterie(
        *("keys", "create", "ada", "--role", "viewer", "--days", "30", "--budget", "5 usd day"),
        *("--requests", "60", "--experts", "good", "--contents", "none"),
    )
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert secret.startswith("ctr_")
    header = {"Authorization": f"Bearer {secret}"}
    assert (await service.http.get("/admin/keys", headers=header)).status_code == 200
    shown = await coterie("keys", "list")
    assert secret not in shown.output
    assert "$5 a day" in shown.output
    [key] = json.loads((await coterie("keys", "list", "--json")).output)
    assert (key["name"], key["contents"], key["experts"]) == ("ada", "none", ["good"])
    assert key["created_by"] == "command-line"
    assert (await coterie("keys", "revoke", key["id"])).exit_code == 0
    await service.parts.keys.refresh()
    assert (await service.http.get("/admin/keys", headers=header)).status_code == 401
    assert "revoked" in (await coterie("keys", "list")).output
    changes = await service.http.get("/admin/audit?caller=command-line", headers=service.admin)
    assert [c["action"] for c in changes.json()["changes"]] == ["key.revoke", "key.create"]


async def test_a_key_for_machines_is_json(coterie: Any) -> None:
    made = json.loads((await coterie("keys", "create", "ci", "--json")).stdout)
    assert made["key"].startswith(made["prefix"])


async def test_what_makes_no_sense_is_told(coterie: Any) -> None:
    for options, told in (
        (("--role", "king"), "role"),
        (("--budget", "5 usd year"), "budget.period"),
        (("--budget", "lots"), "budget.amount"),
        (("--experts", "nobody"), "no experts 'nobody'"),
        (("--strategies", "best"), "no strategies 'best'"),
    ):
        refused = await coterie("keys", "create", "ada", *options)
        assert refused.exit_code != 0
        assert told in f"{refused.output}{refused.exception}"
    assert "no keys yet" in (await coterie("keys", "list")).output
    unknown = await coterie("keys", "revoke", "none")
    assert unknown.exit_code != 0
