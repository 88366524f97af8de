"""Whether the server lives, and whether it can answer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from coterie import __version__
from orchestrator.api.deps import get_parts
from orchestrator.parts import Parts

router = APIRouter()
DATABASE_TIMEOUT_S = 2.0


@router.get("/health")
@router.get("/health/liveliness")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


@router.get("/health/readiness")
async def readiness(request: Request, response: Response) -> dict[str, Any]:
    """Whether a question can be answered now: 503 until one enabled expert can be asked, and from
    the moment that the server is told to stop."""
    parts = get_parts(request)
    found = await parts.fleet.health()
    experts = {name: "ok" if h.ok else (h.detail or "down") for name, h in sorted(found.items())}
    stopping = parts.coterie.services.stopping.begun
    ready = any(h.ok for h in found.values()) and not stopping
    response.status_code = 200 if ready else 503
    return {
        "status": "stopping" if stopping else "ready" if ready else "not ready",
        "database": await _database(parts),
        "experts": experts,
    }


async def _database(parts: Parts) -> str:
    # Not a reason to turn questions away: they are answered from the last snapshot.
    found = await parts.database.ping(DATABASE_TIMEOUT_S)
    return "ok" if found.ok else f"{found.detail}; answering from the last registry read"
