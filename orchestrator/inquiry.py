"""What goes into the graph and what comes out of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coterie.types import (
    Chunk,
    Completion,
    Failure,
    Question,
    Route,
    Sampling,
    Usage,
    Verdict,
)
from orchestrator.wishes import NO_WISHES, Wishes


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One request to the coterie; ``model`` is what the caller named.

    ``expert`` set: straight to it, and ``strategy`` is not used.  ``trace``: the α of fused answers
    belong into the why-record.  ``key`` is the id of whoever asks, ``contents`` what of the text
    may be kept ("whole", "hashed", "none"), ``experts`` the only ones that the key may ask, where
    it names any; ``wishes`` is what the request itself decides.
    """

    id: str
    model: str
    question: Question
    sampling: Sampling
    strategy: str
    expert: str | None = None
    stream: bool = False
    trace: bool = False
    key: str = ""
    contents: str = "whole"
    experts: tuple[str, ...] = ()
    wishes: Wishes = NO_WISHES


@dataclass(frozen=True, slots=True)
class Call:
    """Event: a call to an expert has ended.  ``role`` is "answer" or "aggregate".

    ``usage`` is None where its server did not say; ``error`` tells why nothing came of it;
    ``kind`` says what kind of error it was, as :class:`Failure` does; ``began_s`` is how many
    seconds after the request it began, None where nobody looked.
    """

    expert: str
    role: str
    usage: Usage | None
    cost_usd: float
    latency_s: float
    error: str | None = None
    began_s: float | None = field(default=None, compare=False)
    kind: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How one answer was made of many: ``because`` the vote did not stand, ``writer`` wrote it.

    ``failures`` are those of who was asked to write before; with no writer, ``fallback`` says what
    stands instead.
    """

    because: str
    writer: str | None = None
    failures: tuple[Failure, ...] = ()
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, and everything the why-record tells about it.  ``steps_ms`` is per graph node.

    ``calls`` are all that were made for it, those that failed included, as they ended.
    """

    inquiry: Inquiry
    route: Route
    completions: tuple[Completion, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict
    answer: Completion
    synthesis: Completion | None
    aggregation: Aggregation | None = None
    calls: tuple[Call, ...] = ()
    steps_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def usage(self) -> Usage:
        """Tokens of every call made for this answer."""
        return usage_of(self.calls)

    @property
    def cost_usd(self) -> float:
        """What they cost, in US dollars."""
        return cost_of(self.calls)

    @property
    def overhead_ms(self) -> float:
        """Milliseconds spent on anything but waiting for experts."""
        waiting = ("ask", "synthesize")
        return sum(ms for step, ms in self.steps_ms.items() if step not in waiting)


def usage_of(calls: Iterable[Call]) -> Usage:
    """Tokens of ``calls``, as far as they were told."""
    return sum((c.usage for c in calls if c.usage), Usage())


def cost_of(calls: Iterable[Call]) -> float:
    """What ``calls`` cost, in US dollars."""
    return math.fsum(c.cost_usd for c in calls)


@dataclass(frozen=True, slots=True)
class Routed:
    """Event: the route is decided; ``overhead_ms`` is what deciding took."""

    route: Route
    overhead_ms: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Event: from now on ``experts`` are waited for; ``role`` is "answer" or "aggregate".

    ``since_s`` is how many seconds after the request that is.
    """

    experts: tuple[str, ...]
    role: str
    since_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Delta:
    """Event: a piece of the answer, from ``expert``."""

    expert: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: the last one."""

    outcome: Outcome


Event = Routed | Waiting | Call | Delta | Finished

__all__ = [
    "Aggregation",
    "Call",
    "Delta",
    "Event",
    "Finished",
    "Inquiry",
    "Outcome",
    "Routed",
    "Waiting",
    "cost_of",
    "usage_of",
]
