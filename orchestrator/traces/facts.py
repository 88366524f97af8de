"""What a why-record is found by and counted as, read out of it.  Pure.

A record is JSON of any version that was ever written: what is missing counts as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

Record = Mapping[str, Any]
"""A why-record: JSON with at least ``id`` and ``created_at`` (ISO 8601, with its offset)."""

LEFT = "the caller went away, or the server was stopped, before the answer was complete"
"""The error of a request that nobody waited for."""


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    """With an expert's own answer."""
    WRITTEN = "written"
    """With an answer that an aggregator wrote from all."""
    FALLBACK = "fallback"
    """An aggregator was to write it and could not: the best vote went out."""
    FAILED = "failed"
    """With an error."""
    LEFT = "left"
    """Its caller went away, or the server was stopped."""


class Part(IntEnum):
    """The part an expert had in a request: the last it came to.

    Whoever answered and then wrote the answer from all has two.
    """

    ASKED = 0
    """Nothing came of it."""
    ANSWERED = 1
    CHOSEN = 2
    """Its answer is the one that went out."""
    WROTE = 3
    """It wrote the answer from all."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record is found by; ``latency_ms`` and ``agreement`` are None where there is none."""

    id: str
    created_at: datetime
    strategy: str
    model: str
    status: str
    outcome: Outcome
    key: str
    agreement: float | None
    cost_usd: float
    latency_ms: float | None
    experts: frozenset[tuple[str, Part]]
    skills: frozenset[str]


def facts_of(record: Record) -> Facts:
    """The facts of ``record``."""
    return Facts(
        id=str(record["id"]),
        created_at=datetime.fromisoformat(record["created_at"]),
        strategy=str(record.get("strategy", "")),
        model=str(record.get("model", "")),
        status=str(record.get("status", "")),
        outcome=outcome_of(record),
        key=str(record.get("key", "")),
        agreement=_number(record.get("agreement")),
        cost_usd=_number(record.get("cost_usd")) or 0.0,
        latency_ms=latency_of(record),
        experts=frozenset(_parts(record)),
        skills=frozenset(str(s["skill"]) for s in record.get("skills", ())),
    )


def outcome_of(record: Record) -> Outcome:
    """How the request ended."""
    if record.get("status") == "failed":
        return Outcome.LEFT if record.get("error") == LEFT else Outcome.FAILED
    if record.get("synthesis"):
        return Outcome.WRITTEN
    if (record.get("aggregation") or {}).get("fallback"):
        return Outcome.FALLBACK
    return Outcome.ANSWERED


def latency_of(record: Record) -> float | None:
    """Milliseconds from the first step to the last; None of a request that was not answered."""
    steps = record.get("steps_ms")
    return sum(steps.values()) if steps else None


def _parts(record: Record) -> set[tuple[str, Part]]:
    wrote, answer = record.get("synthesis"), record.get("answer")
    found = {str(a["expert"]): Part.ANSWERED for a in record.get("answers", ())}
    if answer and not wrote:
        found[str(answer["expert"])] = Part.CHOSEN
    for name in _asked(record):
        if not (wrote and name == wrote["expert"]):
            found.setdefault(name, Part.ASKED)
    return {*found.items(), *([(str(wrote["expert"]), Part.WROTE)] if wrote else ())}


def _asked(record: Record) -> list[str]:
    """Whom the router chose, and everyone else that was called."""
    called = (*record.get("calls", ()), *record.get("failures", ()))
    return [*map(str, record.get("chosen", ())), *(str(c["expert"]) for c in called)]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
