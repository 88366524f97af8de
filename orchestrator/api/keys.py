"""``/admin/keys`` and ``/admin/audit``: who may call, and who has changed what."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from coterie.db import utcnow
from coterie.errors import KeyUnusable
from coterie.types import as_jsonable
from orchestrator.api.deps import ForAdmin, ForViewer, WhoCalls
from orchestrator.keys.audit import Change
from orchestrator.keys.budget import Budget, Period, Unit
from orchestrator.keys.key import ApiKey, Contents, Rates, Role
from orchestrator.parts import Parts
from orchestrator.routing import STRATEGIES

router = APIRouter(prefix="/admin")

NAME_LENGTH = 100


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BudgetBody(_Body):
    """What a key may spend in each period of the calendar, in UTC."""

    amount: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Unit = "usd"
    period: Period = "month"


class RatesBody(_Body):
    """What a key may use in a minute."""

    requests: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None


class KeyChange(_Body):
    """What a key may do from now on; what is not named stays as it is."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)] = ""
    role: Role = Role.CHAT
    expires_at: AwareDatetime | None = None
    experts: list[str] = Field(default_factory=list)
    strategies: list[str] = Field(default_factory=list)
    budget: BudgetBody | None = None
    rates: RatesBody = Field(default_factory=RatesBody)
    contents: Contents = "whole"

    def over(self, key: ApiKey) -> ApiKey:
        """The key as it is to be."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("experts", "strategies"):
            if name in given:
                given[name] = tuple(dict.fromkeys(given[name]))
        if budget := given.get("budget"):
            given["budget"] = Budget(budget.amount, budget.unit, budget.period)
        if rates := given.get("rates"):
            given["rates"] = Rates(rates.requests, rates.tokens)
        return replace(key, **given)


class NewKey(KeyChange):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]


@router.get("/keys")
async def list_keys(parts: ForViewer) -> dict[str, Any]:
    """Every key, the newest first, those that are revoked too; no key's text."""
    return {"keys": [key_body(key) for key in parts.keys.list()]}


@router.post("/keys", status_code=201)
async def create_key(body: NewKey, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Makes a key; its text is in ``key`` of this response, and never shown again."""
    wanted = body.over(ApiKey("", body.name, body.role, "", utcnow(), created_by=who.id))
    await check_key(wanted, parts)
    made, secret = await parts.keys.create(wanted)
    await parts.audit.note(who, "key.create", made.id, key_body(made))
    return {**key_body(made), "key": secret}


@router.get("/keys/{id}")
async def get_key(id: str, parts: ForViewer) -> dict[str, Any]:
    """A key, and what it has spent of its budget."""
    return key_body(parts.keys.get(id))


@router.patch("/keys/{id}")
async def change_key(id: str, body: KeyChange, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Lets a key do more, or less, from now on."""
    before = parts.keys.get(id)
    if before.revoked_at is not None:
        raise KeyUnusable(f"key {id!r} was revoked: make another one")
    wanted = body.over(before)
    await check_key(wanted, parts)
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
    before: Annotated[int | None, Query(ge=1)] = None,
    caller: str | None = None,
    action: str | None = None,
    target: str | None = None,
) -> dict[str, Any]:
    """Changes, the newest first; ``before`` is the id of the last one of the page before."""
    page = parts.audit.page
    found = await page(limit + 1, before, caller=caller, action=action, target=target)
    return {"changes": [change_body(c) for c in found[:limit]], "has_more": len(found) > limit}


async def check_key(key: ApiKey, parts: Parts) -> None:
    """Raises :class:`KeyUnusable` where the key names what is not there, or was over before."""
    registered = {e.name for e in await parts.registry.list()}
    _check_names(key.experts, registered, "experts")
    _check_names(key.strategies, set(STRATEGIES), "strategies")
    if key.expires_at is not None and key.expires_at <= utcnow():
        raise KeyUnusable(
            "a key that has expired is of no use: revoke it instead", param="expires_at"
        )


def _check_names(names: tuple[str, ...], known: set[str], field: str) -> None:
    if strange := [name for name in names if name not in known]:
        told = ", ".join(map(repr, strange))
        raise KeyUnusable(
            f"no {field} {told}; there are {', '.join(sorted(known)) or 'none'}", param=field
        )


def key_body(key: ApiKey) -> dict[str, Any]:
    """A key as JSON, without its text, which nobody has."""
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return {**as_jsonable(key), "role": str(key.role), **{t: _time(getattr(key, t)) for t in times}}


def change_body(change: Change) -> dict[str, Any]:
    """A change as JSON."""
    return {**as_jsonable(change), "at": change.at.isoformat()}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        if value != before[name] and name != "last_used_at"
    }
