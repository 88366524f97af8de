"""Skills: who is good at what and how sure that is, what lacks data, synonyms and snapshots."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response

from coterie.errors import RequestError
from coterie.types import OVERALL
from evals.tasks import TASKS
from orchestrator.api import skills as service
from orchestrator.api.dashboard.around import skills_of
from orchestrator.api.dashboard.guard import Manages, Sees, Visit
from orchestrator.api.dashboard.heat import Heat, Order, Wanted, heat, lacks

router = APIRouter()

LACKING = 10
"""Skills that are listed as lacking data, those that most experts lack first."""
MERGES = 200
"""Merges that are listed; the rest is found by its name."""

Text = Annotated[str, Form(min_length=1, max_length=200)]


@router.get("/skills")
async def page(
    visit: Sees,
    q: str = "",
    expert: str = "",
    order: Order = Order.EVIDENCE,
    row: Annotated[int, Query(ge=0)] = 0,
    column: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """The heat map, and all that is kept about skills."""
    known, _, experts = skills_of(visit)
    shown = await _heat(visit, Wanted(q, expert, order, row, column))
    lacking = (await _heat(visit, Wanted(order=Order.LACKING))).rows[:LACKING]
    return visit.page(
        "skills.html",
        heat=shown,
        lacking=[r for r in lacking if r.lacking],
        tasks=sorted(TASKS),
        snapshot=known.name,
        state=visit.parts.profiling.state,
        unprofiled=lacks(known, experts),
        **await _merges(visit),
        **await _snapshots(visit),
    )


# --- profiling ----------------------------------------------------------------------------------


@router.post("/skills/profile")
async def profile(
    visit: Manages,
    task: Annotated[str, Form()],
    limit: Annotated[int, Form(ge=1)] = 100,
    skill: Annotated[str, Form()] = "",
) -> Response:
    """Grades the experts that lack answers (on ``skill``, where one is named)."""
    known, _, enabled = skills_of(visit)
    experts = lacks(known, enabled, skill or OVERALL)
    if not experts:
        raise RequestError(
            "every enabled expert has answers enough: profile single ones from their own pages"
        )
    body = service.ProfilingRequest(task=task, experts=list(experts), limit=limit)
    await service.start_profiling(body, visit.parts, visit.caller)
    return _progress(visit)


@router.get("/skills/profiling")
async def profiling(visit: Sees) -> Response:
    """How far a run is."""
    return _progress(visit)


def _progress(visit: Visit) -> Response:
    return visit.page("profiling_piece.html", state=visit.parts.profiling.state)


# --- synonyms -----------------------------------------------------------------------------------


@router.get("/skills/suggestions")
async def suggestions(
    visit: Sees, threshold: Annotated[float, Query(gt=0, le=1)] = 0.8
) -> Response:
    """Keywords that are nearly a skill; nothing is merged."""
    found = await service.suggest_synonyms(visit.parts, threshold)
    return visit.page("suggestions_piece.html", suggestions=found["suggestions"][:MERGES])


@router.post("/skills/merge")
async def merge(visit: Manages, keyword: Text, skill: Text) -> Response:
    """From now on the keyword is read as the skill."""
    body = service.MergeRequest(keyword=keyword, skill=skill)
    await service.merge_synonym(body, visit.parts, visit.caller)
    return visit.page("merges_piece.html", **await _merges(visit))


@router.post("/skills/split")
async def split(visit: Manages, keyword: Text) -> Response:
    """Takes a merge back."""
    body = service.SplitRequest(keyword=keyword)
    await service.split_synonym(body, visit.parts, visit.caller)
    return visit.page("merges_piece.html", **await _merges(visit))


async def _merges(visit: Visit) -> dict[str, Any]:
    merged = sorted(
        (await visit.parts.synonyms.synonyms()).merged.values(), key=lambda s: (s.skill, s.keyword)
    )
    return {"merges": merged[:MERGES], "more_merges": max(0, len(merged) - MERGES)}


# --- snapshots ----------------------------------------------------------------------------------


@router.post("/skills/snapshots/activate")
async def activate(visit: Manages, name: Text) -> Response:
    """Routing rests on this snapshot from now on."""
    await service.activate_snapshot(name, visit.parts, visit.caller)
    return Response(status_code=204, headers={"HX-Refresh": "true"})


@router.post("/skills/snapshots/remove")
async def remove(visit: Manages, name: Text) -> Response:
    """Forgets a snapshot that is not the active one."""
    await service.remove_snapshot(name, visit.parts, visit.caller)
    return visit.page("snapshots_piece.html", **await _snapshots(visit))


async def _snapshots(visit: Visit) -> dict[str, Any]:
    snapshots = visit.parts.archive.snapshots
    return {"snapshots": await snapshots.list(), "active": await snapshots.active()}


# --- what is known ------------------------------------------------------------------------------


async def _heat(visit: Visit, wanted: Wanted) -> Heat:
    """The first of a snapshot takes half a second where there is much, which no request waits
    for."""
    return await asyncio.to_thread(heat, *skills_of(visit), wanted)
