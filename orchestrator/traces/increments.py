"""What why-records add to the sums over time.  Pure.

A record that overwrites another adds the difference, so each counts once, as it was told last.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.traces.facts import Facts, Outcome, Part, Record, facts_of
from orchestrator.traces.histogram import COSTS_USD, LATENCIES_MS, bin_of

MINUTE, HOUR, DAY = 60, 3600, 86400
AGGREGATE = "aggregate"

Sums = Counter[str]
Request = tuple[int, int, str]
"""Seconds, start and strategy: what requests are summed by."""
Call = tuple[int, int, str, str]
"""Seconds, start, expert and role: what calls are summed by."""

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.ANSWERED: "answered",
    Outcome.WRITTEN: "written",
    Outcome.FALLBACK: "fallbacks",
    Outcome.FAILED: "failed",
    Outcome.LEFT: "left",
}


class Increments:
    """The sums of some records, by time.  Minutes are summed from ``minutes_from`` (s) on only."""

    def __init__(self, minutes_from: float = 0.0) -> None:
        self.requests: defaultdict[Request, Sums] = defaultdict(Counter)
        self.calls: defaultdict[Call, Sums] = defaultdict(Counter)
        self._minutes_from = minutes_from

    def add(self, record: Record, facts: Facts, times: int = 1) -> None:
        """Adds ``record``, whose ``facts`` these are; takes it away with ``times`` -1."""
        at = int(facts.created_at.timestamp())
        request, calls = _request(record, facts), list(_calls(record, facts))
        for seconds in (MINUTE, HOUR, DAY):
            start = at // seconds * seconds
            if seconds > MINUTE or start >= self._minutes_from:
                _add(self.requests[seconds, start, facts.strategy], request, times)
            if seconds > MINUTE:
                for expert, role, sums in calls:
                    _add(self.calls[seconds, start, expert, role], sums, times)


def increments_of(
    records: Iterable[tuple[Record, Facts]],
    overwritten: Iterable[Record] = (),
    minutes_from: float = 0.0,
) -> Increments:
    """What ``records`` add where ``overwritten`` were counted before."""
    found = Increments(minutes_from)
    for record, facts in records:
        found.add(record, facts)
    for record in overwritten:
        found.add(record, facts_of(record), -1)
    return found


def _add(sums: Sums, more: Mapping[str, Any], times: int) -> None:
    for name, value in more.items():
        sums[name] += times * value


def _request(record: Record, facts: Facts) -> dict[str, Any]:
    usage, calls = record.get("usage") or {}, record.get("calls", ())
    found: dict[str, Any] = {
        "requests": 1,
        OUTCOMES[facts.outcome]: 1,
        "calls": len(calls),
        "failed_calls": sum(1 for c in calls if c.get("error")),
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
        "cost_usd": facts.cost_usd,
        "overhead_ms": record.get("overhead_ms", 0.0),
    }
    if facts.latency_ms is not None:
        found |= {"timed": 1, "latency_ms": facts.latency_ms}
        found[f"latency_{bin_of(facts.latency_ms, LATENCIES_MS)}"] = 1
    if facts.agreement is not None and len(record.get("answers", ())) > 1:
        found |= {"compared": 1, "agreement": facts.agreement}
    return found


def _calls(record: Record, facts: Facts) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Expert, role and sums of each call."""
    agreed = _agreeing(record)
    for call in record.get("calls", ()):
        expert, role = str(call["expert"]), str(call["role"])
        sums = _call(call)
        if not call.get("error"):
            part = Part.WROTE if role == AGGREGATE else Part.CHOSEN
            sums["chosen"] = int((expert, part) in facts.experts)
            if role != AGGREGATE and expert in agreed:
                sums |= {"compared": 1, "agreed": int(agreed[expert])}
        yield expert, role, sums


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """What a call took; how long, of one that came to something."""
    usage, cost = call.get("usage") or {}, call.get("cost_usd", 0.0)
    sums = {
        "calls": 1,
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
        "cost_usd": cost,
        f"cost_{bin_of(cost, COSTS_USD)}": 1,
    }
    if call.get("error"):
        return {**sums, "failures": 1}
    took = call.get("latency_ms", 0.0)
    return {**sums, "latency_ms": took, f"latency_{bin_of(took, LATENCIES_MS)}": 1}


def _agreeing(record: Record) -> dict[str, bool]:
    """Of each expert whose answer was compared with others': whether it is the largest group's."""
    groups = sorted((record.get("votes") or {}).values(), key=len, reverse=True)
    if sum(map(len, groups)) < 2:
        return {}
    answer = record.get("answer") or {}
    leading = next((g for g in groups if answer.get("expert") in g), groups[0])
    return {str(expert): group is leading for group in groups for expert in group}
