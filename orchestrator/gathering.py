"""Puts the pieces of a streamed answer together, and holds them back until one can be seen.

What nobody has seen may still be taken back: another expert may answer instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coterie.types import JSON, Chunk, Completion, Usage


@dataclass(slots=True)
class Gathering:
    """One answer of ``expert``; of its further choices nothing is kept.

    The last chunk, with the ``finish_reason``, is always kept back: :meth:`rest` gives it, once
    whoever gathers has looked at the whole.
    """

    expert: str
    seen: bool = False
    usage: Usage | None = None
    choices: set[int] = field(default_factory=lambda: {0})
    """The indices of those that have been heard of."""
    _text: list[str] = field(default_factory=list)
    _held: list[Chunk] = field(default_factory=list)
    _finish: str = "stop"
    _message: dict[str, Any] = field(default_factory=dict)
    _logprobs: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, chunk: Chunk) -> Sequence[Chunk]:
        """The chunks that may go out, now that ``chunk`` has come."""
        if chunk.index:
            self.choices.add(chunk.index)
        else:
            self._keep(chunk)
        self._held.append(chunk)
        self.seen = self.seen or bool(chunk.text.strip() or _extras(chunk.delta))
        last = chunk.finish_reason is not None and not chunk.index
        if not self.seen or last:
            return ()
        return self.rest()

    def _keep(self, chunk: Chunk) -> None:
        self._text.append(chunk.text)
        self._finish = chunk.finish_reason or self._finish
        self.usage = chunk.usage or self.usage
        if chunk.delta:
            for name, value in _extras(chunk.delta).items():
                self._message[name] = _joined(self._message.get(name), value)
        if chunk.logprobs and isinstance(chunk.logprobs, Mapping):
            for name, told in chunk.logprobs.items():
                if isinstance(told, list | tuple):
                    self._logprobs.setdefault(name, []).extend(told)

    def rest(self) -> Sequence[Chunk]:
        """What was held back."""
        held, self._held = self._held, []
        return held

    def completion(self, latency_s: float) -> Completion:
        """The whole answer."""
        text = "".join(self._text)
        calls = self._message.get("tool_calls")
        message: dict[str, JSON] = {"role": "assistant", "content": text, **self._message}
        if isinstance(calls, dict):
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
        usage = self.usage or Usage()
        logprobs = self._logprobs or None
        return Completion(self.expert, text, self._finish, usage, latency_s, message, logprobs)


def as_delta(message: Mapping[str, JSON]) -> dict[str, JSON]:
    """What a whole message holds besides its text, as the delta of a stream."""
    delta = _extras(message)
    calls = delta.get("tool_calls")
    if isinstance(calls, (list, tuple)):
        delta["tool_calls"] = [
            {"index": i, **call} if isinstance(call, Mapping) else call
            for i, call in enumerate(calls)
        ]
    return delta


def _extras(delta: Mapping[str, JSON]) -> dict[str, JSON]:
    return {k: v for k, v in delta.items() if v and k not in ("role", "content")}


def _joined(so_far: Any, piece: Any) -> Any:
    """OpenAI's deltas: texts are continued, lists are of parts by their ``index``, what else comes
    again replaces what was there."""
    if isinstance(piece, str) and isinstance(so_far, str):
        return so_far + piece
    if isinstance(piece, Mapping):
        known = so_far if isinstance(so_far, dict) else {}
        return {**known, **{k: _continued(k, known.get(k), v) for k, v in piece.items()}}
    if isinstance(piece, (list, tuple)) and all(isinstance(p, Mapping) for p in piece):
        known = so_far if isinstance(so_far, dict) else {}
        for at, part in enumerate(piece):
            index = part.get("index", at)
            plain = {k: v for k, v in part.items() if k != "index"}
            known = {**known, index: _joined(known.get(index), plain)}
        return known
    return piece


def _continued(name: str, so_far: Any, piece: Any) -> Any:
    """Some servers send a call's id, type and name again with every piece."""
    return piece if name in ("id", "type", "name") else _joined(so_far, piece)
