"""What the pages of jobs show of them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from coterie.types import as_jsonable
from orchestrator.api.dashboard import words
from orchestrator.jobs.job import Job, JobState
from orchestrator.jobs.progress import ExpertProgress, JobProgress

KINDS: Mapping[JobState, str] = {
    JobState.QUEUED: "idle",
    JobState.RUNNING: "busy",
    JobState.DONE: "good",
    JobState.FAILED: "bad",
    JobState.CANCELLED: "idle",
}
STAGE_NAMES = {
    "annotate": "questions read",
    "route": "questions routed",
    "answer": "answers of experts",
    "aggregate": "aggregated answers",
    "grade": "questions settled",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """``done`` of ``total``; None of it where nothing is known yet."""

    name: str
    done: int
    total: int

    @property
    def share(self) -> float | None:
        return self.done / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as one line of a list."""

    id: str
    task: str
    strategy: str
    split: str
    state: str
    kind: str
    items: Bar
    told: str
    made_at: datetime
    going: bool
    comparable: bool

    @classmethod
    def of(cls, job: Job) -> JobLine:
        progress = progress_of(job)
        return cls(
            job.id,
            job.spec.task,
            job.spec.strategy,
            job.spec.split,
            str(job.state),
            KINDS[job.state],
            Bar("items", progress.finished, progress.items),
            told(progress),
            job.created_at,
            not job.state.is_over,
            job.state is JobState.DONE and progress.correct is not None,
        )


@dataclass(frozen=True, slots=True)
class ExpertLine:
    """What one expert has answered for a job; ``why`` nobody serves it, where that is so."""

    name: str
    progress: ExpertProgress
    loads: int
    why: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job on its own page; times left are of ``now``."""

    line: JobLine
    error: str
    accuracy: float | None
    answered: int
    parked: int
    tokens_per_s: float
    left_s: float | None
    ends_at: datetime | None
    took_s: float | None
    cost_usd: float
    stages: Sequence[Bar]
    experts: Sequence[ExpertLine]
    seconds: Mapping[str, float]
    started_at: datetime | None
    finished_at: datetime | None
    can_cancel: bool
    can_resume: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, now: datetime) -> JobView:
        progress, line = progress_of(job), JobLine.of(job)
        left_s = progress.left_s if line.going else None
        return cls(
            line,
            job.error or "",
            _accuracy(progress),
            progress.answered,
            progress.parked,
            progress.tokens_per_s if line.going else 0.0,
            left_s,
            now + timedelta(seconds=left_s) if left_s is not None else None,
            _took_s(job, now),
            sum(e.cost_usd for e in progress.experts.values()),
            [Bar(STAGE_NAMES.get(n, n), s.done, s.total) for n, s in progress.stages.items()],
            _experts(progress),
            {name: s for name, s in progress.seconds.items() if s >= 0.05},
            job.started_at,
            job.finished_at,
            line.going,
            job.state.is_over and (job.state is not JobState.DONE or bool(progress.parked)),
            settings_of(job),
        )

    @property
    def cancelling(self) -> str:
        """What is asked before the job is cancelled."""
        return (
            f"Cancel job {self.line.id}?\n\nNothing more is asked for it. Its {self.answered:,} "
            "answered questions are kept, and there will be no report unless it is resumed: it "
            "then goes on where it stopped."
        )


def progress_of(job: Job) -> JobProgress:
    """The job's progress; nothing at all where it has none."""
    return job.progress or JobProgress(job.id, str(job.state))


def told(progress: JobProgress) -> str:
    """The progress in one line."""
    if not progress.items:
        return "not begun"
    parts = [f"{progress.finished:,} of {progress.items:,}"]
    if (accuracy := _accuracy(progress)) is not None:
        parts.append(f"{words.share(accuracy)} right")
    if progress.parked:
        parts.append(f"{progress.parked:,} parked")
    if progress.unserved:
        parts.append(f"nobody serves {len(progress.unserved)} of its experts")
    if progress.left_s is not None and progress.finished < progress.items:
        parts.append(f"about {words.duration(progress.left_s)} left")
    return ", ".join(parts)


def settings_of(job: Job) -> dict[str, str]:
    """What shaped the run, in words; what was left to the server is not told."""
    spec = job.spec
    given: dict[str, Any] = {
        "experts": ", ".join(spec.experts) or "all that were enabled",
        "first questions": spec.limit,
        "seed": spec.seed,
        "vote": spec.vote,
        "file": spec.file,
        **{name: v for name, v in as_jsonable(spec.sampling).items() if v not in (None, [], {})},
        **{f"policy: {name}": value for name, value in spec.policy.items()},
        "snapshot": (job.fixed or {}).get("snapshot"),
    }
    return {name: str(value) for name, value in given.items() if value not in (None, "")}


def _accuracy(progress: JobProgress) -> float | None:
    if progress.correct is None or not progress.finished:
        return None
    return progress.correct / progress.finished


def _took_s(job: Job, now: datetime) -> float | None:
    if job.started_at is None:
        return None
    return max(0.0, ((job.finished_at or now) - job.started_at).total_seconds())


def _experts(progress: JobProgress) -> list[ExpertLine]:
    names = dict.fromkeys([*progress.experts, *progress.unserved])
    return [
        ExpertLine(
            name,
            progress.experts.get(name, ExpertProgress()),
            progress.loads.get(name, 0),
            progress.unserved.get(name, ""),
        )
        for name in names
    ]
