"""``/admin/keys`` and ``/admin/audit``: who may call, and who has changed what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from coterie.db import utcnow
from coterie.errors import KeyUnusable
from coterie.types import as_jsonable
from orchestrator.api.deps import ForAdmin, ForViewer, WhoCalls
from orchestrator.keys.audit import Change, ChangeFilters
from orchestrator.keys.budget import began, ends
from orchestrator.keys.entry import KeyChange, KeyEntry, check_names, key_body
from orchestrator.keys.key import ApiKey
from orchestrator.parts import Parts
from orchestrator.routing import STRATEGIES

router = APIRouter(prefix="/admin")


@router.get("/keys")
async def list_keys(parts: ForViewer) -> dict[str, Any]:
    """Every key, the newest first, those that are revoked too; no key's text."""
    return {"keys": [key_body(key) for key in parts.keys.list()]}


@router.post("/keys", status_code=201)
async def create_key(body: KeyEntry, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Makes a key; its text is in ``key`` of this response, and never shown again."""
    wanted = body.over(ApiKey("", body.name, body.role, "", utcnow(), created_by=who.id))
    await _check(wanted, parts)
    made, secret = await parts.keys.create(wanted)
    await parts.audit.note(who, "key.create", made.id, key_body(made))
    return {**key_body(made), "key": secret}


@router.get("/keys/{id}")
async def get_key(id: str, parts: ForViewer) -> dict[str, Any]:
    """A key, and what it has spent in its budget's period, or in this month."""
    key = parts.keys.get(id)
    return {**key_body(key), "spending": await spending(key, parts)}


@router.patch("/keys/{id}")
async def change_key(id: str, body: KeyChange, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Lets a key do more, or less, from now on."""
    before = parts.keys.get(id)
    if before.revoked_at is not None:
        raise KeyUnusable(f"key {id!r} was revoked: make another one")
    wanted = body.over(before)
    await _check(wanted, parts)
    changed = key_body(await parts.keys.change(wanted))
    await parts.audit.note(who, "key.change", id, _differences(key_body(before), changed))
    return changed


@router.delete("/keys/{id}")
async def revoke_key(id: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Revokes a key for good; what was asked with it goes on bearing its id."""
    revoked = await parts.keys.revoke(id)
    await parts.audit.note(who, "key.revoke", id, {"name": revoked.name})
    return key_body(revoked)


@router.get("/audit")
async def list_changes(
    parts: ForViewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None,
    caller: str | None = None,
    action: str | None = None,
    target: str | None = None,
) -> dict[str, Any]:
    """Changes, the newest first; ``before`` is the id of the last one of the page before."""
    filters = ChangeFilters(caller, action, target)
    found = await parts.audit.page(limit + 1, before, filters)
    return {"changes": [change_body(c) for c in found[:limit]], "has_more": len(found) > limit}


async def spending(key: ApiKey, parts: Parts) -> dict[str, Any]:
    """What a key has spent in its period, and what is held for calls that are not over."""
    now, period = utcnow(), key.budget.period if key.budget else "month"
    found = await parts.ledger.standing(key.id, key.budget, now)
    return {
        "period": period,
        "since": began(period, now).isoformat(),
        "until": ends(period, now).isoformat(),
        "spent": as_jsonable(found.spent),
        "held": as_jsonable(found.held),
    }


def change_body(change: Change) -> dict[str, Any]:
    """A change as JSON."""
    return {**as_jsonable(change), "at": change.at.isoformat()}


async def _check(key: ApiKey, parts: Parts) -> None:
    check_names(key, [e.name for e in await parts.registry.list()], STRATEGIES)


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        if value != before[name] and name != "last_used_at"
    }
