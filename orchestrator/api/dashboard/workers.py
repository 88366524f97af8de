"""Workers: who works, with which engines, and what waits for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from coterie.db import utcnow
from coterie.types import as_jsonable
from orchestrator.api.dashboard.guard import Sees, Visit
from orchestrator.api.dashboard.worker_view import WorkView, alive_s

router = APIRouter()


@router.get("/workers")
async def show(visit: Sees) -> Response:
    """How the work stands."""
    return visit.page("workers.html", **await _now(visit))


@router.get("/workers/now")
async def now(visit: Sees) -> Response:
    """The same, again and again."""
    return visit.page("workers_piece.html", **await _now(visit))


async def _now(visit: Visit) -> dict[str, Any]:
    view, at = WorkView.of(await visit.parts.workforce.look()), utcnow()
    return {
        "work": view,
        "alive": {worker.name: alive_s(worker.since, at) for worker in view.workers},
        "own": [as_jsonable(process) for process in visit.parts.fleet.describe()],
    }
