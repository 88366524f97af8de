"""Why a why-record may be lost."""

from __future__ import annotations

from enum import StrEnum


class Loss(StrEnum):
    """Why a record was lost."""

    FLOOD = "flood"
    """They came faster than the database took them, or it was away for too long."""
    REFUSED = "refused"
    """It could not be kept: it is no record."""
    STOPPING = "stopping"
    """The service ended before the database took it."""
