"""What goes into the graph and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One request to the coterie; ``model`` is what the caller named.

    ``expert`` set: straight to it, and ``strategy`` is not used.  ``trace``: the α of fused answers
    belong into the why-record.
    """

    id: str
    model: str
    question: Question
    sampling: Sampling
    strategy: str
    expert: str | None = None
    stream: bool = False
    trace: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, and everything the why-record tells about it.  ``steps_ms`` is per graph node."""

    inquiry: Inquiry
    route: Route
    completions: tuple[Completion, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict
    answer: Completion
    synthesis: Completion | None
    steps_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def usage(self) -> Usage:
        """Tokens of every call made for this answer."""
        calls = (*self.completions, *((self.synthesis,) if self.synthesis else ()))
        return sum((c.usage for c in calls), Usage())

    @property
    def overhead_ms(self) -> float:
        """Milliseconds spent on anything but waiting for experts."""
        waiting = ("ask", "synthesize")
        return sum(ms for step, ms in self.steps_ms.items() if step not in waiting)


@dataclass(frozen=True, slots=True)
class Routed:
    """Event: the route is decided; ``overhead_ms`` is what deciding took."""

    route: Route
    overhead_ms: float


@dataclass(frozen=True, slots=True)
class Delta:
    """Event: a piece of the answer, from ``expert``."""

    expert: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Finished:
    """Event: the last one."""

    outcome: Outcome


Event = Routed | Delta | Finished

__all__ = ["Delta", "Event", "Finished", "Inquiry", "Outcome", "Routed"]
