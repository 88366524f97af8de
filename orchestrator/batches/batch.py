"""What a batch is, and what its life is like.  Frozen, pure::

validating ─> in_progress ─> finalizing ─> completed, or expired
    │              │             └───────> failed
    ├─> failed     └─> cancelling ─> cancelled
    └─> cancelling
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from coterie.types import Usage
from orchestrator.jobs.job import Job, JobState

ENDPOINT = "/v1/chat/completions"
WINDOW = "24h"
WINDOW_LENGTH = timedelta(hours=24)


class BatchState(StrEnum):
    """OpenAI's ``status``."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether it stays as it is."""
        return self in OVER


OVER = (BatchState.FAILED, BatchState.COMPLETED, BatchState.EXPIRED, BatchState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong: in ``line`` (from 1) of the input file, where it is in one."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests: ``failed`` are all that have no answer once the batch is over."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it is kept.

    ``times`` says when it came into each state; ``output_ttl_s`` how long its output is kept, in
    seconds, where the caller said so; ``key`` is the caller's id.
    """

    id: str
    input_file: str
    created_at: datetime
    expires_at: datetime
    state: BatchState = BatchState.VALIDATING
    metadata: Mapping[str, str] = field(default_factory=dict)
    output_ttl_s: int | None = None
    times: Mapping[str, datetime] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    usage: Usage | None = None
    problems: tuple[Problem, ...] = ()
    output_file: str | None = None
    error_file: str | None = None
    key: str = ""

    @property
    def job(self) -> str:
        """The id of the job that answers it, whether or not it was made yet."""
        return self.id.replace("batch_", "job-", 1)

    @property
    def seed(self) -> int:
        """Of what is drawn: another batch of the same file draws anew, this one never does."""
        return int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:4]) >> 1


class Step(StrEnum):
    """What is to be done for a batch now."""

    VALIDATE = "validate"
    STOP = "stop the job"
    WAIT = "wait for the job"
    FINISH = "write the output"


def next_step(batch: Batch, job: Job | None, now: datetime) -> Step:
    """What is to be done; ``job`` is None where it has none, or none any more."""
    late = now >= batch.expires_at
    if batch.state is BatchState.VALIDATING and not late:
        return Step.VALIDATE
    if job is None or batch.state is BatchState.FINALIZING:
        return Step.FINISH
    if not job.state.is_over:
        return Step.STOP if late or batch.state is BatchState.CANCELLING else Step.WAIT
    return Step.FINISH


def ending(batch: Batch, job: Job | None, now: datetime) -> BatchState:
    """How a batch ends whose job is over."""
    if batch.state is BatchState.CANCELLING:
        return BatchState.CANCELLED
    if job is not None and job.state is JobState.DONE:
        return BatchState.COMPLETED
    if now >= batch.expires_at:
        return BatchState.EXPIRED
    if job is not None and job.state is JobState.CANCELLED:
        return BatchState.CANCELLED
    return BatchState.FAILED


def left_over(state: BatchState, job: Job | None) -> Problem:
    """What the error file says of a request that was not answered when the batch ended."""
    if state is BatchState.EXPIRED:
        told = "this request was not answered before the completion window was over"
    elif state is BatchState.CANCELLED:
        told = "the batch was cancelled before this request was answered"
    else:
        told = f"the batch failed before this request was answered: {_why(job)}"
    return Problem(f"batch_{state}", told)


def problem_of(job: Job | None) -> Problem:
    """Why a batch failed whose requests were all right."""
    return Problem("job_failed", _why(job))


def _why(job: Job | None) -> str:
    return (job.error if job else None) or "its job is gone"
