"""The pages of keys and of the audit log, over HTTP."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coterie.errors import KeyUnusable
from orchestrator.api.dashboard import audit, key_form
from orchestrator.api.dashboard.key_view import KeyLine, matching
from orchestrator.keys.budget import Budget, Spent
from orchestrator.keys.entry import KeyEntry
from orchestrator.keys.key import ApiKey, Rates, Role
from tests.orchestrator.dashboard.visitor import Visitor, words

HOSTILE = "<script>boom()</script>\"'><img src=x>"
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def key(**fields: Any) -> ApiKey:
    return ApiKey("key_1", "ada", Role.CHAT, "ctr_abcdef", NOW, **fields)


async def make(visitor: Visitor, **fields: str) -> tuple[str, str]:
    """A key made with the form: its id and its text."""
    made = await visitor.do("/keys", {"name": "ada", "role": "chat", **fields})
    text = re.search(r'id="made-key"[^>]*value="(ctr_[^"]+)"', made.text)
    id = re.search(r'href="/dashboard/keys/(key_\w+)"', made.text)
    assert text
    assert id
    return id[1], text[1]


# --- what is shown, purely ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "spent", "state"),
    [
        ({}, 0.0, "never used"),
        ({"last_used_at": NOW}, 0.0, "in use"),
        ({"expires_at": NOW}, 0.0, "expired"),
        ({"budget": Budget(5, "usd", "day")}, 5.0, "used up"),
        ({"budget": Budget(5, "usd", "day"), "revoked_at": NOW}, 5.0, "revoked"),
    ],
)
def test_a_keys_state_is_told_in_a_word(fields: Any, spent: float, state: str) -> None:
    assert KeyLine.of(key(**fields), Spent(usd=spent), NOW).state == state


def test_what_is_spent_is_told_beside_the_budget() -> None:
    line = KeyLine.of(key(budget=Budget(200, "tokens", "day")), Spent(tokens=50), NOW)
    assert (line.spent, line.budget, line.share) == ("50 tokens", "200 tokens a day", 0.25)
    assert line.renews_at == datetime(2026, 3, 5, tzinfo=UTC)
    assert KeyLine.of(key(), Spent(usd=1.5), NOW).spent == "$1.50"


def test_to_revoke_ones_own_key_is_warned_of() -> None:
    line = KeyLine.of(key(), Spent(), NOW)
    assert "logged in with this key yourself" in line.revoking(own=True)
    assert "yourself" not in line.revoking(own=False)


def test_revoked_keys_are_found_only_where_they_are_wanted() -> None:
    keys = [key(), key(revoked_at=NOW)]
    assert len(matching(keys, "ADA", revoked=False)) == 1
    assert len(matching(keys, "ctr_abc", revoked=True)) == 2
    assert matching(keys, "eve", revoked=True) == []


def test_a_form_that_was_filled_in_from_a_key_says_the_same() -> None:
    wanted = key(
        expires_at=NOW + timedelta(days=3),
        budget=Budget(2.5, "usd", "week"),
        rates=Rates(requests=7),
        experts=("good",),
    )
    chosen = key_form.chosen(wanted)
    fields = {n: v for n, v in chosen.items() if isinstance(v, str)}
    fields |= {"rate_requests": chosen["requests"], "rate_tokens": chosen["tokens"]}
    lists = {n: sorted(chosen[n]) for n in ("experts", "strategies")}
    assert key_form.read(KeyEntry, fields, **lists).over(wanted) == wanted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "king"),
        ("amount", "-1"),
        ("rate_tokens", "0"),
        ("expires_at", "soon"),
        ("name", ""),
    ],
)
def test_a_wrong_field_is_named(field: str, value: str) -> None:
    fields = {"name": "ada", "role": "chat", field: value}
    with pytest.raises(KeyUnusable):
        key_form.read(KeyEntry, fields)


def test_details_of_changes_are_flat() -> None:
    detail = {"role": {"from": "chat", "to": "admin"}, "budget": {"amount": 2}, "vote": None}
    assert list(audit.told(detail)) == [("role", "chat → admin"), ("budget.amount", "2")]


# --- over HTTP ----------------------------------------------------------------------------------


async def test_a_new_key_is_shown_once_and_works(service: Any) -> None:
    visitor = await Visitor.enter(service)
    assert "No keys yet." in await visitor.see("/keys")
    made = await visitor.do("/keys", {"name": "ada", "role": "viewer"})
    assert made.headers["cache-control"] == "no-store"
    id, text = await make(visitor, name="eve", role="viewer")
    for path in ("/keys", f"/keys/{id}", "/audit"):
        assert text not in await visitor.see(path)
    assert (await service.parts.keys.identify(text)).name == "eve"


async def test_names_are_text(service: Any) -> None:
    visitor = await Visitor.enter(service)
    id, _ = await make(visitor, name=HOSTILE)
    for path in ("/keys", f"/keys/{id}", "/audit"):
        page = await visitor.see(path)
        assert "<script>boom" not in page
        assert "<img" not in page
        assert "boom()" in page


async def test_limits_are_changed_and_a_refusal_is_told(service: Any) -> None:
    visitor = await Visitor.enter(service)
    id, _ = await make(visitor)
    fields = {"name": "ada", "role": "jobs", "amount": "3", "unit": "usd", "period": "day"}
    saved = await visitor.do(f"/keys/{id}", {**fields, "experts": ["good"]})
    assert "Saved" in saved.text
    changed = service.parts.keys.get(id)
    assert (changed.role, changed.budget) == (Role.JOBS, Budget(3, "usd", "day"))
    assert changed.experts == ("good",)
    refused = await visitor.do(f"/keys/{id}", {**fields, "experts": ["nobody"]}, status=400)
    assert "there are bad, good" in words(refused.text)
    log = words(await visitor.see("/audit", target=id))
    assert "chat → jobs" in log


async def test_a_revoked_key_ends_its_session(service: Any) -> None:
    visitor = await Visitor.enter(service)
    id, text = await make(visitor, role="admin")
    page = await visitor.see(f"/keys/{id}")
    asked = re.search(r'hx-confirm="([^"]*)"', page)
    assert asked
    assert "cannot be undone" in asked[1]
    other = await Visitor.enter(service, text)
    await other.do(f"/keys/{id}/revoke")
    gone = await service.http.get("/dashboard/keys")
    assert gone.status_code == 303


async def test_who_may_not_manage_sees_no_keys(service: Any) -> None:
    visitor = await Visitor.enter(service)
    _, text = await make(visitor, role="jobs")
    other = await Visitor.enter(service, text)
    for path in ("/keys", "/audit"):
        await other.see(path, status=403)
    await other.do("/keys", {"name": "me", "role": "admin"}, status=403)


async def test_spending_is_shown(service: Any) -> None:
    visitor = await Visitor.enter(service)
    id, text = await make(visitor, amount="1000000", unit="tokens", period="month")
    body = {"model": "coterie", "messages": [{"role": "user", "content": "How many?"}]}
    headers = {"Authorization": f"Bearer {text}"}
    answered = await service.http.post("/v1/chat/completions", json=body, headers=headers)
    assert answered.status_code == 200
    await service.parts.meter.write()
    assert "of 1,000,000 tokens a month" in words(await visitor.see(f"/keys/{id}"))


async def test_changes_are_filtered_and_paged(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    visitor = await Visitor.enter(service)
    ids = [(await make(visitor, name=name))[0] for name in ("a", "b", "c")]
    first = await visitor.see("/audit", who="the admin key file")
    older = re.search(r'href="(/dashboard/audit\?[^"]*before=\d+)"', first)
    assert older
    rest = await service.http.get(older[1].replace("&amp;", "&"))
    assert ids[0] in rest.text
    assert ids[2] not in rest.text
    only = await visitor.see("/audit", target=ids[1], action="key")
    assert ids[1] in only
    assert ids[0] not in only
    assert "No such change" in await visitor.see("/audit", until="2020-01-01T00:00")
    assert "No such change" not in await visitor.see("/audit", since="2020-01-01T00:00")
    await visitor.see("/audit", status=400, since="yesterday")
