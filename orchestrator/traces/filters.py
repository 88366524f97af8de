"""Which why-records are wanted.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from orchestrator.traces.facts import Outcome, Part


class Verdict(StrEnum):
    """What somebody said of an answer."""

    GOOD = "good"
    BAD = "bad"


class AsExpert(StrEnum):
    """The part that a wanted expert had."""

    ASKED = "asked"
    """It was asked, whatever came of it."""
    ANSWERED = "answered"
    CHOSEN = "chosen"
    """What went out is its answer, or was written by it."""
    WROTE = "wrote"
    """It wrote the answer from all."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that are meant."""
        return _PARTS[self]


_PARTS = {
    AsExpert.ASKED: tuple(Part),
    AsExpert.ANSWERED: (Part.ANSWERED, Part.CHOSEN),
    AsExpert.CHOSEN: (Part.CHOSEN, Part.WROTE),
    AsExpert.WROTE: (Part.WROTE,),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """All that is set must hold.

    ``since`` and ``until``: made then or after, and before.  ``outcomes``: one of these.
    ``agreement_below`` means answers that were judged; ``cost_from`` (US dollars) and
    ``latency_from_ms``: at least.  ``feedback``: with one of these verdicts.
    """

    since: datetime | None = None
    until: datetime | None = None
    strategy: str | None = None
    model: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    expert: str | None = None
    as_expert: AsExpert = AsExpert.ASKED
    skill: str | None = None
    key: str | None = None
    agreement_below: float | None = None
    cost_from: float | None = None
    latency_from_ms: float | None = None
    feedback: tuple[Verdict, ...] = ()

    @property
    def is_set(self) -> bool:
        """Whether anything but the time is asked for."""
        free = ("since", "until", "as_expert")
        return any(
            getattr(self, f.name) not in (None, ()) for f in fields(self) if f.name not in free
        )
