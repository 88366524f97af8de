"""How everything is, at a glance."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from coterie.db import utcnow
from orchestrator.api.dashboard.around import health_of, queue_of
from orchestrator.api.dashboard.guard import Sees, Visit
from orchestrator.api.dashboard.standing import Surroundings, state_of
from orchestrator.api.dashboard.traffic_view import RANGES, range_of, traffic_charts
from orchestrator.jobs.job import JobState
from orchestrator.traces.traffic import Point, Requests, Step, filled

router = APIRouter()

JOBS = 50
MOST_DOWN = 10
EVER = timedelta(days=3650)


@router.get("")
async def page(visit: Sees, range: str = "day") -> Response:
    """Traffic, latency, tokens, cost, agreement; experts, workers, queue."""
    looked, now, traffic = range_of(range), utcnow(), visit.parts.traffic
    since = now - looked.span
    total = await traffic.total(since, now, looked.step)
    known = await traffic.series(since, now, looked.step)
    points = filled(known, since, now, looked.step, Point(since, Requests()))
    return visit.page(
        "overview.html",
        ranges=RANGES,
        looked=looked,
        total=total,
        charts=traffic_charts(points, looked) if total.requests else [],
        steps=await _steps(visit, any_now=total.requests > 0),
        **await _now(visit),
    )


@router.get("/_now")
async def now(visit: Sees) -> Response:
    """Experts, workers and queue as they are."""
    return visit.page("overview_now_piece.html", **await _now(visit))


async def _now(visit: Visit) -> dict[str, Any]:
    parts = visit.parts
    experts = parts.roster.snapshot.experts
    health = await health_of(visit).now()
    known = Surroundings(
        experts,
        parts.roster.snapshot.knowledge,
        health,
        parts.fleet.describe(),
        draining=parts.draining.names,
    )
    states = {name: state_of(e, known) for name, e in sorted(experts.items())}
    ill = [(name, s) for name, s in states.items() if s.kind in ("bad", "busy")]
    workers, depths = await queue_of(visit)
    jobs = Counter(job.state for job in await parts.jobs.list(JOBS))
    return {
        "states": Counter((s.kind, s.word) for s in states.values()).most_common(),
        "ill": ill[:MOST_DOWN],
        "ill_more": max(0, len(ill) - MOST_DOWN),
        "workers": workers,
        "depths": depths,
        "waiting": sum(d.waiting for d in depths.values()) if depths is not None else 0,
        "claimed": sum(d.claimed for d in depths.values()) if depths is not None else 0,
        "answering": sum(parts.roster.gate(name).inside for name in experts),
        "running_jobs": jobs[JobState.RUNNING],
        "queued_jobs": jobs[JobState.QUEUED],
    }


async def _steps(visit: Visit, *, any_now: bool) -> list[tuple[str, bool, str, str, str]]:
    """What is left to do on a fresh install: title, done, why, where, what; nothing once done."""
    parts, at = visit.parts, utcnow()
    enabled = parts.roster.enabled
    known = parts.roster.snapshot.knowledge.profiles
    asked = any_now or bool((await parts.traffic.total(at - EVER, at, Step.DAY)).requests)
    steps = [
        (
            "Add an expert",
            bool(enabled),
            "Nobody can be asked before there is one.",
            "/dashboard/experts/_new",
            "Add an expert",
        ),
        (
            "Profile the experts",
            any(e.name in known for e in enabled),
            "Until they are graded, each counts as as good as any other.",
            "/dashboard/skills",
            "To the skills",
        ),
        (
            "Chat",
            asked,
            "Ask something, and see who is asked, and why.",
            "/dashboard/playground",
            "To the playground",
        ),
    ]
    return [] if all(done for _, done, *_ in steps) else steps
