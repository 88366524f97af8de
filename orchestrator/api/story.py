"""What is known of a request while it is being answered; its why-record, told once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coterie.errors import CoterieError
from coterie.types import Route
from orchestrator.deliberation import AGGREGATE
from orchestrator.inquiry import Call, Event, Inquiry, Outcome, Routed, Waiting
from orchestrator.traces.writer import TraceWriter
from orchestrator.why import failure_record, outcome_record, unfinished_record

LEFT = "the caller went away, or the server was stopped, before the answer was complete"


class Story:
    """Follows the events of one inquiry; however it ends, a record of it goes to ``traces``."""

    def __init__(self, inquiry: Inquiry, traces: TraceWriter) -> None:
        self._inquiry = inquiry
        self._traces = traces
        self._calls: list[Call] = []
        self._waits: Waiting | None = None
        self._ended: Mapping[str, Any] | None = None
        self.routed: Routed | None = None
        self.waiting = "choosing whom to ask"
        """What is waited for, in words."""

    def see(self, event: Event) -> None:
        """Remembers what matters of ``event``."""
        if isinstance(event, Routed):
            self.routed = event
        elif isinstance(event, Call):
            self._calls.append(event)
        elif isinstance(event, Waiting):
            self._waits = event
            who = ", ".join(event.experts)
            self.waiting = f"{who} writes" if event.role == AGGREGATE else f"waiting for {who}"

    @property
    def record(self) -> Mapping[str, Any]:
        """The why-record as far as it is known; until the end with ``waiting``: those that have not
        answered, in which ``role``, and since how many milliseconds after the beginning."""
        if self._ended is not None:
            return self._ended
        known = unfinished_record(self._inquiry, self._route, self._calls)
        return {**known, "waiting": self._still_out()}

    def answered(self, outcome: Outcome) -> None:
        """Ends well."""
        self._end(outcome_record(outcome))

    def failed(self, error: Exception) -> None:
        """Ends with ``error``."""
        self._fail(str(error) if isinstance(error, CoterieError) else "internal error")

    def left(self) -> None:
        """Ends without an answer, if it has not ended before."""
        self._fail(LEFT)

    @property
    def _route(self) -> Route | None:
        return self.routed.route if self.routed else None

    def _fail(self, told: str) -> None:
        self._end(failure_record(self._inquiry, self._route, told, self._calls))

    def _end(self, record: Mapping[str, Any]) -> None:
        if self._ended is None:  # what is answered stays so, though telling it fails
            self._ended = record
            self._traces.save(record)

    def _still_out(self) -> dict[str, Any] | None:
        if (waits := self._waits) is None:
            return None
        back = {call.expert for call in self._calls if call.role == waits.role}
        out = [name for name in waits.experts if name not in back]
        return {"experts": out, "role": waits.role, "since_ms": round(waits.since_s * 1000, 1)}
