"""Gathers what pages about experts show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from coterie.db import utcnow
from coterie.errors import QueueUnavailable
from orchestrator.api.dashboard.guard import Visit
from orchestrator.api.dashboard.kept import Kept
from orchestrator.api.dashboard.last_health import LastHealth
from orchestrator.api.dashboard.standing import Surroundings
from orchestrator.scheduling.work import Depth, WorkerState
from orchestrator.traces.traffic import Calls, Step
from skills.knowledge import Knowledge

LOOKED_BACK = timedelta(days=30)
"""The time that calls, costs and latencies of experts are of."""

KEPT_S = 5.0
"""How old the sums of everyone's calls may be, in seconds."""


async def around(visit: Visit, expert: str | None = None) -> Surroundings:
    """Everything that is known around the experts now; of calls, those of one where given."""
    parts = visit.parts
    experts = {e.name: e for e in await parts.registry.list()}
    workers, _ = await queue_of(visit)
    return Surroundings(
        experts,
        parts.roster.snapshot.knowledge,
        await health_of(visit).now(),
        parts.fleet.describe(),
        workers,
        parts.draining.names,
        {name: parts.roster.gate(name).inside for name in experts},
        await (calls_of(visit, expert) if expert else all_calls_of(visit).now()),
    )


def skills_of(visit: Visit) -> tuple[Knowledge, tuple[str, ...], tuple[str, ...]]:
    """What is known, the taxonomy's skills and the enabled experts, as the heat map wants them."""
    parts = visit.parts
    return (
        parts.roster.snapshot.knowledge,
        tuple(s.name for s in parts.taxonomy),
        tuple(sorted(e.name for e in parts.roster.enabled)),
    )


async def calls_of(visit: Visit, expert: str | None) -> Mapping[str, Sequence[Calls]]:
    """The calls of the last :data:`LOOKED_BACK`, by expert."""
    now, found = utcnow(), defaultdict(list)
    store = visit.parts.traffic
    for calls in await store.experts(now - LOOKED_BACK, now, Step.DAY, expert=expert):
        found[calls.expert].append(calls)
    return found


def all_calls_of(visit: Visit) -> Kept[Mapping[str, Sequence[Calls]]]:
    """The calls of everyone, which take a while to add up."""
    state = visit.request.app.state
    if not hasattr(state, "dashboard_calls"):
        state.dashboard_calls = Kept(lambda: calls_of(visit, None), KEPT_S)
    return state.dashboard_calls  # type: ignore[no-any-return]


async def queue_of(visit: Visit) -> tuple[Sequence[WorkerState], Mapping[str, Depth] | None]:
    """The workers, and how much waits for each expert; None while the queue is away."""
    try:
        return await visit.parts.jobs.workers(), await visit.parts.jobs.depths()
    except QueueUnavailable:
        return (), None


def health_of(visit: Visit) -> LastHealth:
    state = visit.request.app.state
    if not hasattr(state, "dashboard_health"):
        state.dashboard_health = LastHealth(visit.parts.fleet)
    return state.dashboard_health  # type: ignore[no-any-return]
