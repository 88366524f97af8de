"""``GET /v1/models``: the coterie, its strategies, and every enabled expert."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from coterie.types import Expert
from orchestrator.api.deps import ForChat
from orchestrator.protocol.models import AUTO
from orchestrator.routing import OFFERED

router = APIRouter()


@router.get("/v1/models")
async def list_models(parts: ForChat) -> dict[str, Any]:
    """What the ``model`` field may name."""
    virtual = [AUTO, *(f"{AUTO}/{strategy}" for strategy in OFFERED)]
    rows = [_row(name, "coterie") for name in virtual]
    return {"object": "list", "data": [*rows, *(_expert(e) for e in parts.roster.enabled)]}


def _row(id: str, owner: str) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": 0, "owned_by": owner}


def _expert(expert: Expert) -> dict[str, Any]:
    return {
        **_row(expert.name, f"coterie:{expert.kind.value}"),
        "description": expert.description,
        "context_length": expert.context_length,
        "tags": list(expert.tags),
    }
