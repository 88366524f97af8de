"""How far a job is: one value, the same on the command line, over REST and as an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STAGES = ("annotate", "route", "answer", "aggregate", "grade")


@dataclass(frozen=True, slots=True)
class StageProgress:
    """``done`` of ``total``: items, or for ``answer`` and ``aggregate`` completions, of which more
    may be wanted on the way."""

    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class ExpertProgress:
    """One expert's completions: ``done`` of ``total``, ``failed`` of them given up, ``reused`` of
    them stored before.  Tokens and US dollars are of what was made for this job."""

    done: int = 0
    total: int = 0
    failed: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How a job stands.

    ``items`` in all, of which ``finished`` have a result, ``correct`` of them right (None where
    nothing is graded) and ``parked`` without an answer.  ``tokens_per_s`` are generated now;
    ``left_s`` is the estimated time left, None where nothing can be told yet.  ``seconds`` are by
    what was done: annotate, generate (waiting for answers), aggregate (votes and grading), load (of
    engines, a part of generate);
    ``loads`` are by expert.  ``unserved`` says of experts whose work nobody does why that is so,
    and what to do.
    """

    id: str
    state: str
    items: int = 0
    finished: int = 0
    correct: int | None = 0
    parked: int = 0
    stages: Mapping[str, StageProgress] = field(default_factory=dict)
    experts: Mapping[str, ExpertProgress] = field(default_factory=dict)
    tokens_per_s: float = 0.0
    left_s: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    loads: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    unserved: Mapping[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Items that have an answer, right or wrong."""
        return self.finished - self.parked

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> JobProgress:
        """The progress that was kept as JSON."""
        stages = {name: StageProgress(**s) for name, s in kept["stages"].items()}
        experts = {name: ExpertProgress(**e) for name, e in kept["experts"].items()}
        return cls(**{**kept, "stages": stages, "experts": experts})
