"""``GET /v1/models``: the coterie, its strategies, and every enabled expert."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from coterie.types import Expert
from orchestrator.api.deps import ForReader, caller_of
from orchestrator.protocol.models import AUTO
from orchestrator.routing import OFFERED

router = APIRouter()


@router.get("/v1/models")
async def list_models(request: Request, parts: ForReader) -> dict[str, Any]:
    """What the ``model`` field may name, as far as the caller's key may use it."""
    caller = caller_of(request)
    virtual = [AUTO, *(f"{AUTO}/{s}" for s in OFFERED if caller.may_use(s))]
    rows = [_row(name, "coterie") for name in virtual]
    experts = [_expert(e) for e in parts.roster.enabled if caller.may_ask(e.name)]
    return {"object": "list", "data": [*rows, *experts]}


def _row(id: str, owner: str) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": 0, "owned_by": owner}


def _expert(expert: Expert) -> dict[str, Any]:
    return {
        **_row(expert.name, f"coterie:{expert.kind.value}"),
        "description": expert.description,
        "context_length": expert.context_length,
        "tags": list(expert.tags),
    }
