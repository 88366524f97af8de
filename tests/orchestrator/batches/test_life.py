"""What a batch's life is like, decided purely."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.batches.batch import (
    WINDOW_LENGTH,
    Batch,
    BatchState,
    Step,
    ending,
    left_over,
    next_step,
)
from orchestrator.jobs.job import Job, JobSpec, JobState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOING = [s for s in BatchState if not s.is_over]


def batch(state: BatchState) -> Batch:
    return Batch("batch_1", "file-1", NOON, NOON + WINDOW_LENGTH, state)


def job(state: JobState | None) -> Job | None:
    return Job("job-1", JobSpec("batch"), state, NOON, NOON) if state else None


STATES = st.sampled_from(GOING)
JOBS = st.sampled_from([None, *JobState])
HOURS = st.floats(0, 48)


@given(STATES, JOBS, HOURS)
def test_every_batch_has_a_way_out(state: BatchState, at: JobState | None, hours: float) -> None:
    now = NOON + timedelta(hours=hours)
    found, running = batch(state), job(at)
    step = next_step(found, running, now)
    if step is Step.WAIT:
        assert running is not None
        assert not running.state.is_over
        assert now < found.expires_at
    if step is Step.STOP:
        assert running is not None
        stopped = replace(running, state=JobState.CANCELLED)
        assert next_step(found, stopped, now) is Step.FINISH
    if step is Step.VALIDATE:
        assert state is BatchState.VALIDATING
    if step is Step.FINISH:
        assert ending(found, running, now).is_over


@given(STATES, JOBS, HOURS)
def test_nothing_runs_on_after_the_window(
    state: BatchState, at: JobState | None, hours: float
) -> None:
    late = NOON + WINDOW_LENGTH + timedelta(hours=hours)
    assert next_step(batch(state), job(at), late) in (Step.STOP, Step.FINISH)


def test_how_a_batch_ends() -> None:
    early, late = NOON, NOON + WINDOW_LENGTH
    going, cancelling = batch(BatchState.IN_PROGRESS), batch(BatchState.CANCELLING)
    assert ending(going, job(JobState.DONE), early) is BatchState.COMPLETED
    assert ending(going, job(JobState.DONE), late) is BatchState.COMPLETED
    assert ending(going, job(JobState.CANCELLED), late) is BatchState.EXPIRED
    assert ending(going, job(JobState.CANCELLED), early) is BatchState.CANCELLED
    assert ending(going, job(JobState.FAILED), early) is BatchState.FAILED
    assert ending(going, None, early) is BatchState.FAILED
    assert ending(batch(BatchState.VALIDATING), None, late) is BatchState.EXPIRED
    assert ending(cancelling, job(JobState.DONE), early) is BatchState.CANCELLED


def test_what_is_left_over_says_why() -> None:
    failed = job(JobState.FAILED)
    assert failed is not None
    told = left_over(BatchState.FAILED, replace(failed, error="expert 'x' was removed"))
    assert told.code == "batch_failed"
    assert "expert 'x' was removed" in told.message
    assert left_over(BatchState.EXPIRED, None).code == "batch_expired"
