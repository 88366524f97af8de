"""Keys: who may call, what each may do, and what it has spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from coterie.db import utcnow
from orchestrator.api import keys as api
from orchestrator.api.dashboard import key_form
from orchestrator.api.dashboard.guard import Manages, Visit
from orchestrator.api.dashboard.key_view import MEANINGS, KeyLine, matching, periods, since
from orchestrator.keys.budget import PERIODS, UNITS, Spent
from orchestrator.keys.entry import KeyChange, KeyEntry
from orchestrator.keys.key import CONTENTS, ApiKey
from orchestrator.routing import OFFERED

router = APIRouter()

PAGE = 50

Skip = Annotated[int, Query(ge=0)]


@router.get("/keys")
async def list_keys(
    visit: Manages, find: str = "", revoked: bool = False, skip: Skip = 0
) -> Response:
    """The keys, the newest first."""
    listed = await _listed(visit, find, revoked=revoked, skip=skip)
    return visit.page("keys.html", **listed, **_form(visit, None))


@router.get("/keys/{id}")
async def show(visit: Manages, id: str) -> Response:
    """One key, and what it may do."""
    return visit.page("key.html", **await _shown(visit, visit.parts.keys.get(id)))


@router.post("/keys")
async def create(visit: Manages) -> Response:
    """Makes a key.  This response alone has its text."""
    made = await api.create_key(await _read(visit, KeyEntry), visit.parts, visit.caller)
    listed = await _listed(visit, "", revoked=False, skip=0)
    return visit.page("key_made.html", name=made["name"], text=made["key"], **listed)


@router.post("/keys/{id}")
async def change(visit: Manages, id: str) -> Response:
    """Lets the key do more, or less."""
    body = await _read(visit, KeyChange)
    await api.change_key(id, body, visit.parts, visit.caller)
    values = await _shown(visit, visit.parts.keys.get(id), saved=True)
    return visit.page("key_piece.html", **values)


@router.post("/keys/{id}/revoke")
async def revoke(visit: Manages, id: str) -> Response:
    """Revokes the key for good."""
    if visit.parts.keys.get(id).revoked_at is None:
        await api.revoke_key(id, visit.parts, visit.caller)
    return visit.page("key_piece.html", **await _shown(visit, visit.parts.keys.get(id)))


async def _read(visit: Visit, kind: type[Any]) -> Any:
    given = await visit.request.form()
    fields = {name: str(value) for name, value in given.multi_items()}
    lists = {n: [str(v) for v in given.getlist(n)] for n in ("experts", "strategies")}
    fields = {name: value for name, value in fields.items() if name not in lists}
    return key_form.read(kind, fields, **lists)


async def _listed(visit: Visit, find: str, *, revoked: bool, skip: int) -> dict[str, Any]:
    everyone = visit.parts.keys.list()
    found = matching(everyone, find, revoked=revoked)
    shown = found[skip : skip + PAGE]
    return {
        "lines": await _lines(visit, shown),
        "find": find,
        "revoked": revoked,
        "skip": skip,
        "count": len(found),
        "all": len(everyone),
        "page": PAGE,
    }


async def _lines(visit: Visit, keys: Sequence[ApiKey]) -> list[KeyLine]:
    now, spent = utcnow(), dict[str, Spent]()
    for period, ids in periods(keys).items():
        spent |= await visit.parts.ledger.spent(ids, since(period, now))
    return [KeyLine.of(key, spent.get(key.id, Spent()), now) for key in keys]


async def _shown(visit: Visit, key: ApiKey, *, saved: bool = False) -> dict[str, Any]:
    [line] = await _lines(visit, [key])
    own = visit.caller.id == key.id
    return {"line": line, "own": own, "saved": saved, "maker": key.created_by, **_form(visit, key)}


def _form(visit: Visit, key: ApiKey | None) -> dict[str, Any]:
    chosen = key_form.chosen(key)
    known = {e.name for e in visit.parts.roster.enabled}
    return {
        "chosen": chosen,
        "roles": [(str(role), f"{role}: {told}") for role, told in MEANINGS.items()],
        "units": [(unit, "US$" if unit == "usd" else unit) for unit in UNITS],
        "periods": PERIODS,
        "kept": CONTENTS,
        "experts": sorted(known | chosen["experts"]),
        "strategies": sorted({*OFFERED} | chosen["strategies"]),
    }
