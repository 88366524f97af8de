"""What went through the service over time, as sums tell it.  Pure.

Sums are of whole hours or days (of the last day also of minutes), in UTC; they stay when the
records they were made of are forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import TypeVar

from orchestrator.traces.histogram import COSTS_USD, LATENCIES_MS, percentile


class Step(IntEnum):
    """How long a period is, in seconds."""

    MINUTE = 60
    HOUR = 3600
    DAY = 86400

    def floor(self, at: datetime) -> int:
        """The Unix time at which the period of ``at`` begins."""
        return int(at.timestamp()) // self * self


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that ended in some time; of ``left`` the callers went away.

    ``latencies`` counts those with a latency by :data:`LATENCIES_MS`; ``agreement`` is the sum over
    the ``compared`` ones, with several answers; ``latency_ms`` and ``overhead_ms`` are sums too.
    """

    requests: int = 0
    answered: int = 0
    written: int = 0
    fallbacks: int = 0
    failed: int = 0
    left: int = 0
    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    timed: int = 0
    compared: int = 0
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    overhead_ms: float = 0.0
    agreement: float = 0.0
    latencies: tuple[int, ...] = (0,) * (len(LATENCIES_MS) + 1)

    @property
    def mean_agreement(self) -> float | None:
        """The mean agreement of requests that several experts answered."""
        return _ratio(self.agreement, self.compared)

    @property
    def mean_latency_ms(self) -> float | None:
        """Milliseconds until the whole answer was there."""
        return _ratio(self.latency_ms, self.timed)

    @property
    def mean_overhead_ms(self) -> float | None:
        """Milliseconds of that not spent waiting for experts."""
        return _ratio(self.overhead_ms, self.timed)

    def latency_at(self, share: float) -> float | None:
        """The latency (ms) that ``share`` of the requests do not exceed, about."""
        return percentile(self.latencies, LATENCIES_MS, share)


@dataclass(frozen=True, slots=True)
class Point:
    """The requests of one period, which begins at ``start``."""

    start: datetime
    sums: Requests


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one expert in one role ("answer", "aggregate") in some time.

    ``chosen``: what it said went out; ``agreed`` of its answers that were ``compared`` with others'
    were the leading one.  ``latencies`` and ``costs`` count calls (those that came to something,
    and all) by :data:`LATENCIES_MS` and :data:`COSTS_USD`.
    """

    expert: str
    role: str
    calls: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    chosen: int = 0
    compared: int = 0
    agreed: int = 0
    cost_usd: float = 0.0
    latency_ms: float = 0.0
    latencies: tuple[int, ...] = (0,) * (len(LATENCIES_MS) + 1)
    costs: tuple[int, ...] = (0,) * (len(COSTS_USD) + 1)

    @property
    def success(self) -> float | None:
        """The share of calls that came to something."""
        return _ratio(self.calls - self.failures, self.calls)

    @property
    def agreement(self) -> float | None:
        """The share of its compared answers that were the leading one."""
        return _ratio(self.agreed, self.compared)

    @property
    def mean_cost_usd(self) -> float | None:
        """US dollars a call."""
        return _ratio(self.cost_usd, self.calls)

    @property
    def mean_latency_ms(self) -> float | None:
        """Milliseconds a call that came to something took."""
        return _ratio(self.latency_ms, self.calls - self.failures)

    def latency_at(self, share: float) -> float | None:
        """The latency (ms) that ``share`` of them do not exceed, about."""
        return percentile(self.latencies, LATENCIES_MS, share)

    def cost_at(self, share: float) -> float | None:
        """The cost (US dollars) that ``share`` of the calls do not exceed, about."""
        return percentile(self.costs, COSTS_USD, share)


@dataclass(frozen=True, slots=True)
class CallPoint:
    """The calls to an expert of one period, which begins at ``start``."""

    start: datetime
    sums: Calls


P = TypeVar("P", Point, CallPoint)


def filled(points: Sequence[P], since: datetime, until: datetime, step: Step, zero: P) -> list[P]:
    """``points`` with ``zero`` for every other period from ``since`` to before ``until``."""
    known = {point.start: point for point in points}
    starts = range(step.floor(since), math.ceil(until.timestamp()), step)
    times = [datetime.fromtimestamp(start, UTC) for start in starts]
    return [known.get(start) or replace(zero, start=start) for start in times]


def _ratio(part: float, of: float) -> float | None:
    return part / of if of else None
