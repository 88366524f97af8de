"""What went wrong with an expert, as a value that can be kept, and as the error again.  Pure.

Nothing that a caller is told gets lost on the way: an answer asked for by a job fails with the
status and the code that it would have failed with live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from coterie.errors import (
    EngineError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    ExpertBusy,
)
from coterie.types import Failure

REJECTED: Final = "rejected"
TIMEOUT: Final = "timeout"
PROTOCOL: Final = "protocol"
BUSY: Final = "busy"
ACCESS_DENIED: Final = "access_denied"
"""The code of a rejection that is the operator's to mend, not the caller's."""

NO_LOGPROBS: Final = "no_logprobs"
TOO_FEW_CHOICES: Final = "too_few_choices"
PARAMS: Final[Mapping[str | None, str]] = {NO_LOGPROBS: "logprobs", TOO_FEW_CHOICES: "n"}
"""Codes of what a server leaves out of its answer though it was asked for, and by which field."""

KINDS: Final[Mapping[str, type[EngineError]]] = {
    REJECTED: EngineRejected,
    TIMEOUT: EngineTimeout,
    BUSY: ExpertBusy,  # before what it is a kind of
    "unavailable": EngineUnavailable,
    PROTOCOL: EngineProtocolError,
}


def failure_of(error: EngineError, latency_s: float = 0.0) -> Failure:
    """The error as a value; ``latency_s`` is how long it took."""
    kind = next((name for name, cls in KINDS.items() if isinstance(error, cls)), "")
    told = Failure(error.expert, str(error), latency_s, kind=kind, usage=error.usage)
    if isinstance(error, EngineRejected):
        return replace(told, rejected=True, code=error.code, status=error.status)
    return told


def rejected(expert: str, told: str, code: str | None, status: int = 400) -> EngineRejected:
    """The request was refused, by the expert's server or on its account; the field at fault is
    named where the code tells it."""
    error = EngineRejected(expert, told, status=status, code=code)
    error.param = PARAMS.get(code)
    return error


def error_of(failure: Failure) -> EngineError:
    """The error that ``failure`` was made of."""
    expert = failure.expert
    told = failure.error.removeprefix(f"expert {expert!r}: ")
    if failure.kind == REJECTED:
        return rejected(expert, told, failure.code, failure.status or 400)
    return KINDS.get(failure.kind, EngineUnavailable)(expert, told)
