"""What went through the service in some time, as figures and charts.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.api.dashboard.charts import Chart, Series
from orchestrator.traces.traffic import Point, Step


@dataclass(frozen=True, slots=True)
class Range:
    """A time that is looked at, up to now."""

    name: str
    title: str
    span: timedelta
    step: Step
    label: str


RANGES = (
    Range("hour", "Hour", timedelta(hours=1), Step.MINUTE, "%H:%M"),
    Range("day", "Day", timedelta(days=1), Step.HOUR, "%a %H:00"),
    Range("week", "Week", timedelta(days=7), Step.HOUR, "%a %H:00"),
    Range("month", "Month", timedelta(days=30), Step.DAY, "%m-%d"),
)
PERIODS = {Step.MINUTE: "minute", Step.HOUR: "hour", Step.DAY: "day"}


def range_of(name: str) -> Range:
    """The range of that name; a day for any other."""
    return next((r for r in RANGES if r.name == name), RANGES[1])


def traffic_charts(points: Sequence[Point], looked: Range) -> list[tuple[str, Chart]]:
    """The charts and their ids."""
    labels, sums = [p.start.strftime(looked.label) for p in points], [p.sums for p in points]
    each = PERIODS[looked.step]

    def bars(title: str, unit: str, **values: list[float]) -> Chart:
        series = [Series(name.replace("_", " "), v) for name, v in values.items()]
        return Chart(f"{title} a {each}", labels, series, unit, "bar", stacked=True)

    return [
        (
            "requests",
            bars(
                "Requests",
                "requests",
                answered=[float(s.answered) for s in sums],
                written_from_several=[float(s.written) for s in sums],
                fallen_back_to_the_vote=[float(s.fallbacks) for s in sums],
                failed=[float(s.failed) for s in sums],
                left_by_the_caller=[float(s.left) for s in sums],
            ),
        ),
        (
            "latency",
            Chart(
                "Latency",
                labels,
                [
                    Series("p50", [_seconds(s.latency_at(0.5)) for s in sums]),
                    Series("p95", [_seconds(s.latency_at(0.95)) for s in sums]),
                ],
                "s",
            ),
        ),
        (
            "tokens",
            bars(
                "Tokens",
                "tokens",
                prompt=[float(s.prompt_tokens) for s in sums],
                completion=[float(s.completion_tokens) for s in sums],
            ),
        ),
        ("cost", bars("Cost", "US dollars", cost=[s.cost_usd for s in sums])),
        (
            "agreement",
            Chart(
                "Agreement of experts",
                labels,
                [Series("agreement", [_percent(s.mean_agreement) for s in sums])],
                "%",
            ),
        ),
    ]


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100
