"""What is known of a request while it is being answered; its why-record, told once."""

from __future__ import annotations

from coterie.errors import CoterieError
from orchestrator.deliberation import AGGREGATE
from orchestrator.inquiry import Call, Event, Inquiry, Outcome, Routed, Waiting
from orchestrator.traces.facts import LEFT
from orchestrator.traces.writer import TraceWriter
from orchestrator.why import failure_record, outcome_record


class Story:
    """Follows the events of one inquiry; however it ends, a record of it goes to ``traces``."""

    def __init__(self, inquiry: Inquiry, traces: TraceWriter) -> None:
        self._inquiry = inquiry
        self._traces = traces
        self._calls: list[Call] = []
        self._told = False
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
            who = ", ".join(event.experts)
            self.waiting = f"{who} writes" if event.role == AGGREGATE else f"waiting for {who}"

    def answered(self, outcome: Outcome) -> None:
        """Ends well."""
        self._told = True
        self._traces.save(outcome_record(outcome))

    def failed(self, error: Exception) -> None:
        """Ends with ``error``."""
        self._fail(str(error) if isinstance(error, CoterieError) else "internal error")

    def left(self) -> None:
        """Ends without an answer, if it has not ended before."""
        if not self._told:
            self._fail(LEFT)

    def _fail(self, told: str) -> None:
        route = self.routed.route if self.routed else None
        self._told = True
        self._traces.save(failure_record(self._inquiry, route, told, self._calls))
