"""What is counted of the why-records, for whoever scrapes this process."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter


class Loss(StrEnum):
    """Why a record was lost."""

    FLOOD = "flood"
    """They came faster than the database took them, or it was away for too long."""
    REFUSED = "refused"
    """It could not be kept: it is no record."""
    STOPPING = "stopping"
    """The service ended before the database took it."""


LOST = Counter("coterie_why_records_lost", "Why-records that were never written", ["why"])
WRITTEN = Counter("coterie_why_records_written", "Why-records that were written")

for loss in Loss:
    LOST.labels(loss.value)  # so that each is there, at 0, before the first
