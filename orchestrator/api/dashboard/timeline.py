"""A request as a timeline: its steps, and every call with its beginning and length.  Pure.

Records before calls had a ``start_ms`` tell how long each step took and no more: their calls begin
where their step does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Record = Mapping[str, Any]

ROLES = {"answer": "answers", "aggregate": "writes the answer from all"}
STEPS = {
    "infer": "skills inferred",
    "route": "route decided",
    "judge": "answers judged",
    "answer": "answer handed over",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A step, or a call to ``expert``; ``x`` and ``width`` are percent of the whole.

    ``took_ms`` is None of a call under way, ``since_ms`` when it began after the request did.
    """

    label: str
    expert: str
    word: str
    kind: str
    since_ms: float
    took_ms: float | None
    x: float = 0.0
    width: float = 0.0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """``total_ms``: from the first step to the end, or to what is known yet."""

    bars: tuple[Bar, ...]
    total_ms: float | None
    overhead_ms: float | None
    usage: Mapping[str, int]
    cost_usd: float | None

    @property
    def is_empty(self) -> bool:
        return not self.bars


def timeline(record: Record) -> Timeline:
    """The timeline of a why-record, ended or not."""
    steps: Mapping[str, float] = record.get("steps_ms") or {}
    bars = [*_before(steps), *_calls(record, steps), *_waiting(record), *_after(steps)]
    end = max((b.since_ms + (b.took_ms or 0) for b in bars), default=0.0)
    known = sum(steps.values()) if steps else None
    return Timeline(
        tuple(_placed(bar, max(end, known or 0.0)) for bar in sorted(bars, key=_order)),
        known,
        record.get("overhead_ms"),
        record.get("usage") or {},
        record.get("cost_usd"),
    )


def _order(bar: Bar) -> tuple[float, float]:
    return bar.since_ms, bar.since_ms + (bar.took_ms or 0.0)


def _before(steps: Mapping[str, float]) -> list[Bar]:
    inferred = steps.get("infer", 0.0)
    starts = {"infer": 0.0, "route": inferred}
    return [_step(name, start, steps[name]) for name, start in starts.items() if name in steps]


def _after(steps: Mapping[str, float]) -> list[Bar]:
    asked = sum(steps.get(name, 0.0) for name in ("infer", "route", "ask"))
    starts = {"judge": asked, "answer": sum(steps.values()) - steps.get("answer", 0.0)}
    return [_step(name, start, steps[name]) for name, start in starts.items() if name in steps]


def _step(name: str, start: float, took: float) -> Bar:
    return Bar(STEPS[name], "", "done", "idle", start, took)


def _calls(record: Record, steps: Mapping[str, float]) -> list[Bar]:
    began = {
        "answer": sum(steps.get(name, 0.0) for name in ("infer", "route")),
        "aggregate": sum(steps.get(name, 0.0) for name in ("infer", "route", "ask", "judge")),
    }
    return [_call(call, began) for call in record.get("calls", ())]


def _call(call: Record, began: Mapping[str, float]) -> Bar:
    role, usage, error = str(call.get("role", "")), call.get("usage") or {}, call.get("error")
    start = call.get("start_ms")
    return Bar(
        ROLES.get(role, role),
        str(call["expert"]),
        "failed" if error else "answered",
        "bad" if error else "good",
        began.get(role, 0.0) if start is None else start,
        call.get("latency_ms"),
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        cost_usd=call.get("cost_usd"),
        error=str(error or ""),
    )


def _waiting(record: Record) -> Sequence[Bar]:
    waits = record.get("waiting") or {}
    label = ROLES.get(str(waits.get("role", "")), "")
    since = waits.get("since_ms", 0.0)
    return [Bar(label, str(e), "asked", "busy", since, None) for e in waits.get("experts", ())]


def _placed(bar: Bar, whole_ms: float) -> Bar:
    whole = whole_ms or 1.0
    x = min(99.0, 100 * bar.since_ms / whole)
    took = whole - bar.since_ms if bar.took_ms is None else bar.took_ms
    width = max(0.5, min(100 - x, 100 * took / whole))
    return replace(bar, x=round(x, 2), width=round(width, 2))
