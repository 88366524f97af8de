"""What is known of a request while it is being answered; its why-record, told once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coterie.errors import CoterieError
from coterie.types import Route, Usage
from orchestrator.deliberation import AGGREGATE
from orchestrator.inquiry import (
    Call,
    Delta,
    Event,
    Inquiry,
    Outcome,
    Routed,
    Waiting,
    cost_of,
    usage_of,
)
from orchestrator.keys.budget import NOTHING, Spent
from orchestrator.keys.estimate import prompt_tokens, text_tokens
from orchestrator.keys.meter import Pass
from orchestrator.traces.facts import LEFT
from orchestrator.traces.writer import TraceWriter
from orchestrator.why import failure_record, outcome_record, unfinished_record


class Story:
    """Follows the events of one inquiry; however it ends, a record of it goes to ``traces``, and
    what it took to ``leave``.

    A call that was cut short has not told what it took: its prompt is counted, and what was
    streamed of its answer, both by estimate, at what that costs by ``cost_usd``.
    """

    def __init__(
        self,
        inquiry: Inquiry,
        traces: TraceWriter,
        leave: Pass | None = None,
        cost_usd: Callable[[str, Usage], float] = lambda expert, usage: 0.0,
    ) -> None:
        self._inquiry = inquiry
        self._traces = traces
        self._leave = leave or Pass()
        self._cost_usd = cost_usd
        self._calls: list[Call] = []
        self._waits: Waiting | None = None
        self._ended: Mapping[str, Any] | None = None
        self._in_flight: dict[str, list[str]] = {}  # what was streamed of each expert's answer
        self.routed: Routed | None = None
        self.waiting = "choosing whom to ask"
        """What is waited for, in words."""

    def see(self, event: Event) -> None:
        """Remembers what matters of ``event``."""
        if isinstance(event, Routed):
            self.routed = event
        elif isinstance(event, Call):
            self._calls.append(event)
            self._in_flight.pop(event.expert, None)
        elif isinstance(event, Delta):
            if pieces := self._in_flight.get(event.expert):
                pieces.append(event.chunk.text)
        elif isinstance(event, Waiting):
            self._waits = event
            self._in_flight |= {name: [""] for name in event.experts}
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
        self._end(outcome_record(outcome), _spent(outcome.calls))

    def failed(self, error: Exception) -> None:
        """Ends with ``error``."""
        self._fail(str(error) if isinstance(error, CoterieError) else "internal error")

    def left(self) -> None:
        """Ends without an answer, if it has not ended before."""
        if self._ended is None:
            self._fail(LEFT)

    @property
    def _route(self) -> Route | None:
        return self.routed.route if self.routed else None

    def _fail(self, told: str) -> None:
        took = _spent(self._calls) + self._cut_short()
        self._end(failure_record(self._inquiry, self._route, told, self._calls), took)

    def _end(self, record: Mapping[str, Any], took: Spent) -> None:
        if self._ended is None:  # what is answered stays so, though telling it fails
            self._ended = record
            self._traces.save(record)
            self._leave.settle(took)

    def _still_out(self) -> dict[str, Any] | None:
        if (waits := self._waits) is None:
            return None
        back = {call.expert for call in self._calls if call.role == waits.role}
        out = [name for name in waits.experts if name not in back]
        return {"experts": out, "role": waits.role, "since_ms": round(waits.since_s * 1000, 1)}

    def _cut_short(self) -> Spent:
        """What calls took that never came to an end."""
        if not (self._in_flight and self._leave.counts):
            return NOTHING
        prompt = prompt_tokens(self._inquiry.question, self._inquiry.sampling)
        spent = NOTHING
        for name, pieces in self._in_flight.items():
            usage = Usage(prompt, text_tokens("".join(pieces)))
            spent += Spent(self._cost_usd(name, usage), usage.total_tokens)
        return spent


def _spent(calls: Sequence[Call]) -> Spent:
    return Spent(cost_of(calls), usage_of(calls).total_tokens)
