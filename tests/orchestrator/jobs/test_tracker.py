"""What is told of a job goes on counting where it was cut off."""

from __future__ import annotations

from coterie.clock import SystemClock
from orchestrator.jobs.ground import Tally
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.tracker import Outstanding, Tracker
from orchestrator.jobs.unit_store import Left


def test_loads_of_earlier_jobs_do_not_count_and_those_of_earlier_runs_do() -> None:
    tally = Tally()
    tally.loaded("ann", 5.0)  # for a job before
    tracker = Tracker("job", 10, tally, SystemClock())
    tracker.resume(JobProgress("job", "running", seconds={"load": 2.0}, loads={"ann": 1}))
    assert tracker.progress("running").loads == {"ann": 1}
    tally.loaded("ann", 3.0)
    tally.loaded("bob", 1.0)
    found = tracker.progress("running")
    assert found.loads == {"ann": 2, "bob": 1}
    assert found.seconds["load"] == 6.0


def test_pages_are_closed_when_none_of_their_batches_is_open() -> None:
    tracker = Tracker("job", 10, Tally(), SystemClock())
    by = ("ann", "answer")
    tracker.waiting = {
        "a": Outstanding(by, 0, 2, 2),
        "b": Outstanding(by, 0, 3, 3),
        "c": Outstanding(by, 1, 4, 4),
    }
    tracker.polled({"a": Left(0, 2, 0, 9, 9), "b": Left(1, 2, 0, 9, 9), "c": Left(0, 4, 0, 9, 9)})
    assert tracker.progress("running").experts["ann"].done == 2 + 2 + 4
    assert tracker.closed() == {1}
    assert tracker.open() == ["b"]  # of the others nothing more is to be heard
    tracker.polled({"a": Left(0, 2, 0, 9, 9)})  # a batch that is gone is not open
    assert tracker.closed() == {0}
    assert tracker.waiting == {}
