"""What somebody said of an answer.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.traces.filters import Verdict


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the caller of id ``by`` said of the answer to the request ``route``.

    ``answer`` is the right one, where it was told; ``item`` is what the answers it graded are kept
    under.
    """

    route: str
    verdict: Verdict
    answer: str | None
    note: str
    by: str
    at: datetime
    item: str


def feedback_body(feedback: Feedback) -> dict[str, Any]:
    """Feedback as JSON."""
    return {
        "verdict": feedback.verdict,
        "answer": feedback.answer,
        "note": feedback.note,
        "by": feedback.by,
        "at": feedback.at.isoformat(),
    }
