"""What a job is: a task, a strategy, experts and settings, and how far it has come.  Frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from coterie.errors import JobError
from coterie.types import JSON, Sampling
from orchestrator.jobs.keys import digest
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.record import sampling_of

BY_NAME = "expert:"
"""Begins a strategy that is one expert, asked by name."""


class JobState(StrEnum):
    """Where a job is; a job that is cancelled or failed can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it, or will, unless it is resumed."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is to be run.

    ``strategy`` is one of routing's, or ``expert:NAME``; ``experts`` may be asked, all recruited
    ones where none is named; the first ``limit`` items of ``split``; ``vote`` instead of the
    snapshot's choice; ``file`` instead of the task's own source; ``policy`` changes knobs of the
    server's by name.
    """

    task: str
    strategy: str = "auto"
    split: str = "test"
    experts: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0
    vote: str | None = None
    file: str | None = None
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    policy: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> JobSpec:
        """The spec that was kept as JSON."""
        sampling, experts = sampling_of(kept["sampling"]), tuple(kept["experts"])
        return cls(**{**kept, "sampling": sampling, "experts": experts})

    @property
    def fingerprint(self) -> str:
        """The same for equal specs: an unfinished job of it is resumed, not paid for twice."""
        return digest(self)

    @property
    def expert(self) -> str | None:
        """The expert that is asked by name; None where a strategy decides."""
        named = self.strategy.startswith(BY_NAME)
        return self.strategy.removeprefix(BY_NAME) if named else None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is kept.

    ``fixed`` is what was settled when it began, so that it goes on alike whenever it is resumed;
    what was parked before ``retry_before`` is tried again.  ``key`` is the id of whoever made it.
    """

    id: str
    spec: JobSpec
    state: JobState
    created_at: datetime
    retry_before: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    fixed: Mapping[str, Any] | None = None
    progress: JobProgress | None = None
    owner: str | None = None
    key: str = ""

    def check_cancel(self) -> None:
        """Raises :class:`JobError` for a job that is over."""
        if self.state.is_over:
            raise JobError(f"job {self.id!r} is {self.state} already: nothing is left to cancel")

    def check_resume(self) -> None:
        """Raises :class:`JobError` for a job that is not over, or done without anything parked."""
        if not self.state.is_over:
            raise JobError(f"job {self.id!r} is {self.state}: it goes on by itself")
        if self.state is JobState.DONE and not (self.progress and self.progress.parked):
            raise JobError(f"job {self.id!r} is done, and every item has its answer")
