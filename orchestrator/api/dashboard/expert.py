"""One expert: what it is good at, how that came to be known, what it answered and what it took."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from coterie.db import utcnow
from coterie.types import Expert
from orchestrator.api.dashboard.around import LOOKED_BACK, around
from orchestrator.api.dashboard.expert_charts import distributions, history, over_time
from orchestrator.api.dashboard.expert_entry import entry_lines
from orchestrator.api.dashboard.expert_list import PATH
from orchestrator.api.dashboard.expert_skills import (
    SORTS,
    WantedSkills,
    shown_skills,
    skill_rows,
)
from orchestrator.api.dashboard.guard import Manages, Sees, Visit
from orchestrator.api.dashboard.standing import Surroundings, standing
from orchestrator.consequences import Act, consequences
from orchestrator.engines.process import last_lines
from orchestrator.traces.filters import AsExpert, Filters
from orchestrator.traces.traffic import CallPoint, Calls, Step, filled
from skills.snapshot import SnapshotInfo

router = APIRouter(prefix="/experts")

RECENT = 10
VERSIONS = 12
"""Snapshots whose profiles are shown."""


@router.get("/{name}")
async def page(
    name: str, visit: Sees, text: str = "", sort: str = "evidence", page: int = 1
) -> Response:
    """Everything about one expert."""
    expert, known = await visit.parts.registry.get(name), await around(visit, name)
    calls = sorted(known.calls.get(name, ()), key=lambda c: c.role)
    now = utcnow()
    span = now - LOOKED_BACK, now, Step.DAY
    known_points = await visit.parts.traffic.expert_series(name, *span)
    points = filled(known_points, *span, CallPoint(now, Calls(name, "answer")))
    return visit.page(
        "expert.html",
        **_now(expert, known),
        **_skills(visit, expert, WantedSkills(text, sort, page)),
        calls=calls,
        charts=[*over_time(points), *distributions(calls)] if calls else [],
        days=LOOKED_BACK.days,
        answers=await _answers(visit, name),
        lines=entry_lines(expert),
        names=[r.skill for r in skill_rows(visit.parts.roster.snapshot.knowledge, name, ())][:300],
    )


@router.get("/{name}/_now")
async def now(name: str, visit: Sees) -> Response:
    """Its state, and what can be done with it."""
    expert, known = await visit.parts.registry.get(name), await around(visit, name)
    return visit.page("expert_now_piece.html", **_now(expert, known))


@router.get("/{name}/_skills")
async def skills(
    name: str, visit: Sees, text: str = "", sort: str = "evidence", page: int = 1
) -> Response:
    """Its skills, a page at a time."""
    expert = await visit.parts.registry.get(name)
    wanted = WantedSkills(text, sort, page)
    return visit.page("expert_skills_piece.html", **_skills(visit, expert, wanted))


@router.get("/{name}/_history")
async def versions(name: str, visit: Sees, skill: str = "") -> Response:
    """Its profile in the newest snapshots; they are opened for it, which takes a while."""
    archive = visit.parts.archive
    newest: tuple[SnapshotInfo, ...] = (await archive.snapshots.list())[:VERSIONS]
    profiles = {s.name: await archive.profile(s, name) for s in newest}
    chart = history(newest, profiles, skill)
    return visit.page(
        "expert_history_piece.html",
        chart=chart,
        versions=[(s, profiles[s.name]) for s in newest],
        active=visit.parts.roster.snapshot.knowledge.name,
        skill=skill,
    )


@router.get("/{name}/_log")
async def log(name: str, visit: Manages) -> Response:
    """The last lines of its engine's log."""
    process = (await around(visit, name)).process(name)
    lines = await asyncio.to_thread(last_lines, Path(process.log_path)) if process else None
    return visit.page("expert_log_piece.html", lines=lines, process=process)


def _now(expert: Expert, known: Surroundings) -> dict[str, Any]:
    running = known.running.get(expert.name, 0)
    profile = known.knowledge.profiles.get(expert.name)
    acts = (Act.DISABLE, Act.DRAIN, Act.REMOVE) if expert.enabled else (Act.ENABLE, Act.REMOVE)
    return {
        "one": standing(expert, known),
        "process": known.process(expert.name),
        "acts": [
            consequences(act, expert, known.experts, profile=profile, running=running)
            for act in acts
        ],
        "needed_by": sorted(e.name for e in known.experts.values() if expert.name in e.needs),
    }


def _skills(visit: Visit, expert: Expert, wanted: WantedSkills) -> dict[str, Any]:
    roster = visit.parts.roster
    pool = tuple(e.name for e in roster.enabled)
    rows = skill_rows(roster.snapshot.knowledge, expert.name, pool)
    return {
        "found": shown_skills(rows, wanted),
        "wanted": wanted,
        "graded": len(rows),
        "sorts": SORTS,
        "skills_path": f"{PATH}/{expert.name}/_skills",
        "name": expert.name,
        "pool_size": len(pool),
    }


async def _answers(visit: Visit, name: str) -> list[dict[str, Any]]:
    """Its last answers, with what is kept of their texts."""
    filters = Filters(expert=name, as_expert=AsExpert.ANSWERED)
    found = await visit.parts.records.page(filters, limit=RECENT)
    return [_answer(dict(record), name) for record in found.records]


def _answer(record: dict[str, Any], name: str) -> dict[str, Any]:
    answers = [a for a in record.get("answers") or () if a.get("expert") == name]
    answer = answers[0] if answers else {}
    return {
        "id": str(record.get("id", "")),
        "at": record.get("created_at"),
        "question": _kept(record.get("question")),
        "text": _kept(answer.get("text")),
        "latency_ms": answer.get("latency_ms"),
        "chosen": (record.get("answer") or {}).get("expert") == name,
        "agreement": record.get("agreement"),
    }


def _kept(text: Any) -> str | None:
    return text if isinstance(text, str) else None
