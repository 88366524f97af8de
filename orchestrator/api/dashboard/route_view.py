"""A decided route as it is shown: what the question needs, who could be asked, who is.  Pure.

Records are JSON of any version that was ever written: what is missing is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

SHOWN = 20
"""Candidates that are shown at once, the best; those chosen are shown in any case."""


@dataclass(frozen=True, slots=True)
class Share:
    """A skill of the question: ``weight`` and ``similarity`` in [0, 1]."""

    skill: str
    weight: float
    similarity: float | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate: ``place`` says what became of it.

    ``low``, ``middle`` and ``high`` (score ± 2 sd) are percent of the scale that all share.
    """

    expert: str
    score: float
    sd: float
    success: float | None
    reason: str
    place: str
    kind: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route; ``more`` candidates are not shown."""

    strategy: str
    snapshot: str
    reason: str
    skills: tuple[Share, ...]
    ranked: tuple[Ranked, ...]
    more: int
    chosen: tuple[str, ...]
    reserve: tuple[str, ...]


def route_view(record: Record, most: int = SHOWN) -> RouteView | None:
    """The route in a why-record; None where it ended before there was one."""
    if "chosen" not in record:
        return None
    candidates = list(record.get("candidates", ()))
    chosen, reserve = _texts(record, "chosen"), _texts(record, "reserve")
    shown = [c for i, c in enumerate(candidates) if i < most or c["expert"] in chosen]
    scale = _scale(shown)
    return RouteView(
        strategy=str(record.get("strategy", "")),
        snapshot=str(record.get("snapshot", "")),
        reason=str(record.get("reason", "")),
        skills=tuple(_share(s) for s in record.get("skills", ())),
        ranked=tuple(_ranked(c, chosen, reserve, scale) for c in shown),
        more=len(candidates) - len(shown) + int(record.get("candidates_left_out") or 0),
        chosen=chosen,
        reserve=reserve,
    )


def _texts(record: Record, name: str) -> tuple[str, ...]:
    return tuple(map(str, record.get(name, ())))


def _share(skill: Record) -> Share:
    return Share(str(skill["skill"]), float(skill["weight"]), skill.get("similarity"))


def _scale(candidates: Sequence[Record]) -> tuple[float, float]:
    """From 0 to 1, or as far as the scores go."""
    low = min((c["score"] - 2 * (c.get("sd") or 0) for c in candidates), default=0.0)
    high = max((c["score"] + 2 * (c.get("sd") or 0) for c in candidates), default=1.0)
    return (min(low, 0.0), max(high, 1.0)) if low < -0.5 or high > 1.5 else (0.0, 1.0)


def _ranked(
    candidate: Record, chosen: Sequence[str], reserve: Sequence[str], scale: tuple[float, float]
) -> Ranked:
    expert, score, sd = str(candidate["expert"]), candidate["score"], candidate.get("sd") or 0.0
    place, kind = _place(expert, chosen, reserve)
    return Ranked(
        expert,
        score,
        sd,
        candidate.get("success"),
        str(candidate.get("reason", "")),
        place,
        kind,
        *(_percent(score + by * sd, scale) for by in (-2, 0, 2)),
    )


def _place(expert: str, chosen: Sequence[str], reserve: Sequence[str]) -> tuple[str, str]:
    if expert in chosen:
        return "asked first", "good"
    if expert in reserve:
        return f"reserve {reserve.index(expert) + 1}", "busy"
    return "not asked", "idle"


def _percent(value: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)
