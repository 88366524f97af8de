"""An answer in the form of OpenAI's Responses: the object, and the events of its stream.

A whole answer goes the same way as a streamed one, and the last event holds it::

    created in_progress  (item.added [part.added delta… done part.done] item.done)…  completed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coterie.types import Chunk, Usage
from orchestrator.protocol.responses import ResponsesRequest

MESSAGE, REASONING, CALL = "message", "reasoning", "function_call"
INCOMPLETE: Mapping[str | None, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Why an answer is not whole, by the expert's ``finish_reason``."""
PREFIX = {MESSAGE: "msg", REASONING: "rs", CALL: "fc"}
DELTAS = {
    MESSAGE: "output_text",
    REASONING: "reasoning_text",
    CALL: "function_call_arguments",
}
Event = dict[str, Any]


def usage_body(usage: Usage, cost_usd: float) -> dict[str, Any]:
    """The usage; experts' details are not summed, so the parts that clients expect are 0."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
        "cost_usd": cost_usd,
    }


@dataclass(slots=True)
class _Item:
    """One item of the output while it is written."""

    kind: str
    index: int
    id: str
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    status: str = "in_progress"

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self, text: str) -> dict[str, Any]:
        if self.kind == REASONING:
            return {"type": "reasoning_text", "text": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def body(self) -> dict[str, Any]:
        head = {"id": self.id, "type": self.kind, "status": self.status}
        if self.kind == CALL:
            return {**head, "call_id": self.call_id, "name": self.name, "arguments": self.text}
        content = [self.part(self.text)] if self.pieces else []
        if self.kind == REASONING:
            return {**head, "summary": [], "content": content}
        return {**head, "role": "assistant", "content": content}


class ResponseEvents:
    """The events of one response, in the order they are asked for."""

    def __init__(self, asked: ResponsesRequest, id: str, created: int) -> None:
        self._id = id
        self._head = _head(asked, id, created)
        self._items: list[_Item] = []
        self._calls: dict[int, _Item] = {}
        self._open: _Item | None = None  # of text: it ends where another kind begins
        self._finish: str | None = None
        self._sent = 0

    def begin(self) -> list[Event]:
        """What every stream starts with."""
        kinds = ("response.created", "response.in_progress")
        return [self._event(kind, response=self._response("in_progress")) for kind in kinds]

    def chunk(self, chunk: Chunk) -> list[Event]:
        """What a piece of the answer adds."""
        self._finish = chunk.finish_reason or self._finish
        thought = chunk.delta.get("reasoning_content") or chunk.delta.get("reasoning")
        events = self._write(REASONING, thought) if isinstance(thought, str) else []
        said = chunk.text or chunk.delta.get("refusal")
        if isinstance(said, str) and said:
            events += self._write(MESSAGE, said)
        calls = chunk.delta.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list | tuple) else ()):
            if isinstance(call, Mapping):
                events += self._call(call, place)
        return events

    def end(self, usage: Usage, cost_usd: float) -> list[Event]:
        """The end of what is open, then of the response."""
        reason = INCOMPLETE.get(self._finish)
        status = "incomplete" if reason else "completed"
        events = self._close_all(status)
        details = {"reason": reason} if reason else None
        body = self._response(status, incomplete_details=details, usage=usage_body(usage, cost_usd))
        return [*events, self._event(f"response.{status}", response=body)]

    def failed(self, error: Mapping[str, Any]) -> list[Event]:
        """The end of a response that ``error``, an OpenAI error object, cut short."""
        code = "rate_limit_exceeded" if error["code"] == "rate_limit_exceeded" else "server_error"
        told = {"code": code, "message": error["message"], "type": error["code"]}
        for item in self._items:
            item.status = "completed" if item.status == "completed" else "incomplete"
        return [self._event("response.failed", response=self._response("failed", error=told))]

    # --- items ----------------------------------------------------------------------------------

    def _write(self, kind: str, text: str) -> list[Event]:
        if not text:
            return []
        events: list[Event] = []
        if self._open is None or self._open.kind != kind:
            events = [*self._close(self._open, "completed"), *self._begin(kind)]
        assert self._open is not None
        more: dict[str, Any] = {"logprobs": []} if kind == MESSAGE else {}
        self._open.pieces.append(text)
        return [*events, self._delta(self._open, text, content_index=0, **more)]

    def _begin(self, kind: str) -> list[Event]:
        item = self._open = self._item(kind)
        return [
            self._added(item),
            self._part_event("added", item, ""),
        ]

    def _call(self, call: Mapping[str, Any], place: int) -> list[Event]:
        index = call.get("index")
        index = index if isinstance(index, int) else place
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        events: list[Event] = []
        if index not in self._calls:
            events = self._close(self._open, "completed")
            self._open = None
            item = self._calls[index] = self._item(CALL)
            item.name = str(function.get("name") or "")
            item.call_id = str(call.get("id") or f"call_{self._id}_{item.index}")
            events.append(self._added(item))
        item = self._calls[index]
        if piece := function.get("arguments"):
            item.pieces.append(str(piece))
            events.append(self._delta(item, str(piece)))
        return events

    def _item(self, kind: str) -> _Item:
        index = len(self._items)
        bare = self._id.removeprefix("resp_")
        item = _Item(kind, index, f"{PREFIX[kind]}_{bare}_{index}")
        self._items.append(item)
        return item

    def _close_all(self, status: str) -> list[Event]:
        # Calls stay open until now: some servers go on with an earlier one.
        unfinished = [i for i in self._items if i.status == "in_progress"]
        return [event for item in unfinished for event in self._close(item, status)]

    def _close(self, item: _Item | None, status: str) -> list[Event]:
        if item is None:
            return []
        item.status = status
        kind = f"response.{DELTAS[item.kind]}.done"
        place = {"item_id": item.id, "output_index": item.index}
        if item.kind == CALL:
            told = {"arguments": item.text, "name": item.name}
            events = [self._event(kind, **place, **told)]
        else:
            more: dict[str, Any] = {"logprobs": []} if item.kind == MESSAGE else {}
            events = [
                self._event(kind, **place, content_index=0, text=item.text, **more),
                self._part_event("done", item, item.text),
            ]
        done = self._event("response.output_item.done", output_index=item.index, item=item.body())
        return [*events, done]

    # --- events ---------------------------------------------------------------------------------

    def _added(self, item: _Item) -> Event:
        return self._event("response.output_item.added", output_index=item.index, item=item.body())

    def _part_event(self, what: str, item: _Item, text: str) -> Event:
        return self._event(
            f"response.content_part.{what}",
            item_id=item.id,
            output_index=item.index,
            content_index=0,
            part=item.part(text),
        )

    def _delta(self, item: _Item, text: str, **more: Any) -> Event:
        return self._event(
            f"response.{DELTAS[item.kind]}.delta",
            item_id=item.id,
            output_index=item.index,
            delta=text,
            **more,
        )

    def _event(self, kind: str, **fields: Any) -> Event:
        self._sent += 1
        return {"type": kind, "sequence_number": self._sent - 1, **fields}

    def _response(self, status: str, **fields: Any) -> dict[str, Any]:
        output = [item.body() for item in self._items]
        return {**self._head, "status": status, "output": output, **fields}


def _head(asked: ResponsesRequest, id: str, created: int) -> dict[str, Any]:
    """What a response says of its request; ``store`` is what was done, not what was asked."""
    given = asked.model_dump(include=_ECHOED)
    silent: dict[str, Any] = {
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "metadata": {},
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
    }
    said = {name: silent.get(name) if value is None else value for name, value in given.items()}
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "model": asked.model,
        "error": None,
        "incomplete_details": None,
        "usage": None,
        "previous_response_id": None,
        "background": False,
        "truncation": "disabled",
        "store": False,
        **said,
    }


_ECHOED = {
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "metadata",
}


def last_response(events: Sequence[Event]) -> dict[str, Any]:
    """The response that the last of ``events`` ends with."""
    response: dict[str, Any] = events[-1]["response"]
    return response
