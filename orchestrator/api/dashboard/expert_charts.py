"""What an expert took, and how it came to be known, as charts.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coterie.types import Estimate, Profile
from orchestrator.api.dashboard import words
from orchestrator.api.dashboard.charts import Chart, Series
from orchestrator.traces.histogram import COSTS_USD, LATENCIES_MS
from orchestrator.traces.traffic import CallPoint, Calls
from skills.snapshot import SnapshotInfo


def distributions(calls: Sequence[Calls]) -> list[Chart]:
    """How long calls took and what they cost, by role."""
    latency = _histogram(
        "Latency", calls, [c.latencies for c in calls], LATENCIES_MS, words.milliseconds
    )
    return [latency, _histogram("Cost", calls, [c.costs for c in calls], COSTS_USD, words.usd)]


def _histogram(
    title: str,
    calls: Sequence[Calls],
    counts: Sequence[Sequence[int]],
    edges: Sequence[float],
    told: object,
) -> Chart:
    say = told if callable(told) else str
    total = [sum(column) for column in zip(*counts, strict=True)]
    used = [i for i, n in enumerate(total) if n] or [0]
    bins = range(used[0], used[-1] + 1)
    labels = [f"≤ {say(edges[i])}" if i < len(edges) else f"> {say(edges[-1])}" for i in bins]
    series = [
        Series(c.role, [float(n[i]) for i in bins]) for c, n in zip(calls, counts, strict=True)
    ]
    return Chart(f"{title} of a call", labels, series, "calls", "bar", stacked=True)


def over_time(points: Sequence[CallPoint]) -> list[Chart]:
    """Answers a day, and their latency."""
    labels = [f"{p.start:%m-%d}" for p in points]
    return [
        Chart(
            "Answers a day",
            labels,
            [
                Series("chosen", [float(p.sums.chosen) for p in points]),
                Series("not chosen", [float(_unchosen(p.sums)) for p in points]),
                Series("failed", [float(p.sums.failures) for p in points]),
            ],
            "calls",
            "bar",
            stacked=True,
        ),
        Chart(
            "Latency of answers",
            labels,
            [
                Series("half are within", [_seconds(p.sums.latency_at(0.5)) for p in points]),
                Series("95 % are within", [_seconds(p.sums.latency_at(0.95)) for p in points]),
            ],
            "s",
        ),
    ]


def _unchosen(calls: Calls) -> int:
    return calls.calls - calls.failures - calls.chosen


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def history(
    snapshots: Sequence[SnapshotInfo], profiles: Mapping[str, Profile | None], skill: str
) -> Chart:
    """The expert's success by snapshot, the oldest first: overall ± 2 sd, and at ``skill``."""
    oldest_first = [*reversed(snapshots)]
    known = [profiles.get(s.name) for s in oldest_first]
    overall = [p.overall if p and p.overall.n > 0 else None for p in known]
    series = [
        Series("overall", [_at(e, 0) for e in overall]),
        Series("− 2 sd", [_at(e, -2) for e in overall]),
        Series("+ 2 sd", [_at(e, 2) for e in overall]),
    ]
    if skill:
        series.append(Series(skill, [_at(p.skills.get(skill) if p else None, 0) for p in known]))
    labels = [words.cut(s.name, 24) for s in oldest_first]
    return Chart("Success by profile version", labels, series, "probability")


def _at(estimate: Estimate | None, deviations: int) -> float | None:
    if estimate is None:
        return None
    return min(1.0, max(0.0, estimate.mean + deviations * estimate.sd))
