"""What a look at one thing has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, but not as well, or not for long."""
    FAIL = "fail"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``subject`` is what was looked at, ``seen`` what was found; ``remedy`` is the next step,
    empty where there is none to take."""

    verdict: Verdict
    subject: str
    seen: str
    remedy: str = ""

    @classmethod
    def ok(cls, subject: str, seen: str) -> Finding:
        """All is well."""
        return cls(Verdict.OK, subject, seen)

    @classmethod
    def warn(cls, subject: str, seen: str, remedy: str) -> Finding:
        """It works for now."""
        return cls(Verdict.WARN, subject, seen, remedy)

    @classmethod
    def fail(cls, subject: str, seen: str, remedy: str) -> Finding:
        """It does not work."""
        return cls(Verdict.FAIL, subject, seen, remedy)
