"""OpenAI's chat protocol: requests written, answers read.  Pure; sending is not its business."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from aggregator.fusion import request as fusing
from coterie.errors import EngineError, EngineProtocolError, EngineRejected, EngineUnavailable
from coterie.types import Chunk, Completion, Question, Sampling, Usage, as_jsonable
from orchestrator.engines.failures import excerpt, from_event
from orchestrator.engines.target import Target
from orchestrator.json_text import trouble, without_halves

TOKENS_PER_MESSAGE = 8
"""What a chat template adds around a message, at most, in the templates we looked at."""

TRACE = "coterie"
"""The key of ``Sampling.extra`` under which Coterie itself names a trace.  A caller's field of that
name is read at the door, and nothing under it goes out as it is."""

MOST_CHOICES = 128
"""Choices of one answer that are read, as many as OpenAI's API allows."""

BYTES_PER_TOKEN = 3
"""English is about 4 bytes of UTF-8 a token; 3 errs on the side of too many tokens."""


def chat_body(target: Target, question: Question, sampling: Sampling, *, stream: bool) -> bytes:
    """The body of a chat request; what ``extra`` holds cannot displace Coterie's own fields.

    Raises:
        EngineRejected: the question or ``extra`` holds something JSON cannot express, or asks for
            a fusion past its expert.
    """
    chosen = sampling.over(target.defaults)
    extra = as_jsonable(chosen.extra)
    trace = extra.pop(TRACE, None)
    if target.ours:
        extra |= _vllm_xargs(target, extra, trace)
    options = extra.pop("stream_options", None)
    body = {**extra, **_sampling_fields(chosen), **_conversation(target, question)}
    body["stream"] = stream
    if stream:
        options = options if isinstance(options, dict) else {}
        body["stream_options"] = {**options, "include_usage": True}
    return _encode(target, body)


def _vllm_xargs(target: Target, extra: Mapping[str, Any], trace: Any) -> dict[str, Any]:
    """What an engine of ours is asked beyond OpenAI's fields: the caller's, then the fusion."""
    given = extra.get("vllm_xargs") or {}
    if not isinstance(given, dict):
        raise EngineRejected(target.expert, "'vllm_xargs' must be an object; change the request")
    if taken := sorted(given.keys() & {fusing.FUSION, fusing.TRACE}):
        raise EngineRejected(
            target.expert,
            f"'vllm_xargs' may not hold {taken[0]!r}, which is Coterie's to set; name a fused "
            "expert as the model instead",
        )
    if target.fusion is None:
        return {}
    traced = {fusing.TRACE: trace} if isinstance(trace, str) else {}
    return {"vllm_xargs": {**given, fusing.FUSION: target.fusion, **traced}}


def tokenize_body(target: Target, question: Question) -> bytes:
    """The body of vLLM's /tokenize for the same conversation.

    Raises:
        EngineRejected: the question holds something JSON cannot express.
    """
    return _encode(target, _conversation(target, question))


def _conversation(target: Target, question: Question) -> dict[str, Any]:
    messages = [as_jsonable(message.as_dict()) for message in question.messages]
    return {"model": target.model, "messages": messages}


def _sampling_fields(sampling: Sampling) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _encode(target: Target, body: Mapping[str, Any]) -> bytes:
    # ASCII, since a lone surrogate in a caller's text cannot be written as UTF-8.
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise EngineRejected(
            target.expert, f"the request cannot be written as JSON: {error}; change the request"
        ) from error


def estimate_tokens(question: Question) -> int:
    """About how many prompt tokens ``question`` is, for a server that cannot count them.

    The UTF-8 bytes of every message's JSON content and fields over :data:`BYTES_PER_TOKEN`,
    rounded up, plus :data:`TOKENS_PER_MESSAGE` each.  It tends to be too high.
    """
    return sum(_estimate(message.text or _dump(message.content)) for message in question.messages)


def _estimate(text: str) -> int:
    size = len(text.encode("utf-8", "surrogatepass"))
    return math.ceil(size / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE


def _dump(content: Any) -> str:
    return json.dumps(as_jsonable(content), ensure_ascii=False, default=str) if content else ""


def parse_object(target: Target, text: bytes | str) -> dict[str, Any]:
    """The JSON object ``text`` is: what a server says is as little to be trusted as a caller.

    Raises:
        EngineProtocolError: it is none, or one that cannot be passed on.
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if told := trouble(raw):
        raise _nonsense(target, f"JSON that cannot be passed on: {told}")
    try:
        parsed = json.loads(without_halves(raw))
    except (ValueError, RecursionError) as error:
        raise _nonsense(target, f"something that is not JSON ({_show(target, text)})") from error
    if not isinstance(parsed, dict):
        raise _nonsense(target, f"JSON that is no object ({_show(target, text)})")
    return parsed


def read_completion(target: Target, body: bytes, *, latency_s: float) -> Completion:
    """The completion in the body of a successful answer.

    Raises:
        EngineError: the body is an error after all, makes no sense, or lacks the usage.
    """
    answer = parse_object(target, body)
    choices = _choices(answer)
    if not choices and answer.get("error"):
        raise from_event(target, answer["error"])
    if not choices or not all(isinstance(c.get("message"), dict) for c in choices):
        raise _nonsense(target, f"no choices[0].message ({_show(target, body)})")
    usage = read_usage(target, answer.get("usage"))
    try:
        first, *others = (_completion(target, c, latency_s) for c in choices)
    except EngineError as error:
        error.usage = usage
        raise
    return replace(first, usage=_needed(target, usage), others=tuple(others))


def _completion(target: Target, choice: Mapping[str, Any], latency_s: float) -> Completion:
    message, logprobs = choice["message"], choice.get("logprobs")
    return Completion(
        expert=target.expert,
        text=_text(message),
        finish_reason=_whole(target, choice.get("finish_reason") or "stop"),
        usage=Usage(),
        latency_s=latency_s,
        message=message,
        logprobs=logprobs if isinstance(logprobs, dict) else None,
    )


def read_token_count(target: Target, body: bytes) -> int:
    """The count in the body of a /tokenize answer.

    Raises:
        EngineProtocolError: there is none.
    """
    count = parse_object(target, body).get("count")
    if not _is_count(count):
        raise _nonsense(target, f"no token count ({_show(target, body)})")
    return count


class ChunkReader:
    """Makes chunks of the events of one streamed answer.

    The finishing chunk is held back until the usage is known, which comes in an event of its own;
    those of further choices are not.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._finish_reason: str | None = None
        self._unfinished: set[int] = set()
        self.usage: Usage | None = None
        """What the server has told of it so far."""

    def read(self, data: str) -> Sequence[Chunk]:
        """The chunks in an event's ``data``, where it brings anything new.

        Raises:
            EngineError: the event reports an error or makes no sense.
        """
        event = parse_object(self._target, data)
        if event.get("error"):
            raise from_event(self._target, event["error"])
        self.usage = read_usage(self._target, event.get("usage")) or self.usage
        return [chunk for choice in _choices(event) if (chunk := self._read_choice(choice))]

    def _read_choice(self, choice: Mapping[str, Any]) -> Chunk | None:
        index = choice.get("index") or 0
        reason = self._finished(index, choice.get("finish_reason"))
        delta, logprobs = choice.get("delta"), choice.get("logprobs")
        delta = delta if isinstance(delta, dict) else {}
        logprobs = logprobs if isinstance(logprobs, dict) and logprobs else None
        text = _text(delta)
        more = any(value for name, value in delta.items() if name not in ("role", "content"))
        if not (text or more or logprobs or reason):
            return None
        return Chunk(text, reason, None, delta if more else {}, logprobs, index)

    def _finished(self, index: int, reason: Any) -> str | None:
        """How a further choice ended, if it has; the first one's end is kept for the last chunk."""
        if not index:
            self._finish_reason = reason or self._finish_reason
            return None
        (self._unfinished.discard if reason else self._unfinished.add)(index)
        return _whole(self._target, reason) if reason else None

    def last(self) -> Chunk:
        """The finishing chunk, once the stream has ended.

        Raises:
            EngineProtocolError: the answer broke off, or its usage is missing.
            EngineUnavailable: the server gave the answer up.
        """
        if self._finish_reason is None or self._unfinished:
            raise EngineProtocolError(
                self._target.expert,
                f"the answer of {self._target.server} broke off without a finish_reason; "
                "look into that server's log, then ask again",
            )
        reason = _whole(self._target, self._finish_reason)
        return Chunk("", reason, _needed(self._target, self.usage))


def read_usage(target: Target, usage: Any) -> Usage | None:
    """The usage object of an answer; None where there is none.

    Raises:
        EngineProtocolError: it holds no token counts.
    """
    if usage is None:
        return None
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if not (_is_count(prompt) and _is_count(completion)):
        raise _nonsense(target, "a usage without prompt_tokens and completion_tokens")
    return Usage(prompt, completion)


def _whole(target: Target, finish_reason: Any) -> str:
    """The finish_reason, unless it says that vLLM gave up: it does so with status 200."""
    if finish_reason == "abort":
        raise EngineUnavailable(
            target.expert,
            f"{target.server} gave its answer up halfway, as it was put to sleep or stopped; "
            "ask again",
        )
    return str(finish_reason)


def _needed(target: Target, usage: Usage | None) -> Usage:
    if usage is None:
        raise EngineProtocolError(
            target.expert,
            f"{target.server} reported no token usage, so its cost is unknown; let it honour "
            "stream_options.include_usage and send `usage`, or use another server",
        )
    return usage


def _choices(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices in the order of their index; the first of two with the same one counts."""
    given = answer.get("choices")
    if not isinstance(given, list):
        return []
    if len(given) == 1 and isinstance(given[0], dict) and not given[0].get("index"):
        return given  # as nearly always
    found: dict[int, dict[str, Any]] = {}
    for choice in given:
        if isinstance(choice, dict):
            index = choice.get("index") or 0
            if _is_count(index) and index < MOST_CHOICES:
                found.setdefault(index, choice)
    return [found[index] for index in sorted(found)]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _nonsense(target: Target, what: str) -> EngineProtocolError:
    return EngineProtocolError(
        target.expert,
        f"{target.server} sent {what}; check that its endpoint speaks OpenAI's chat API",
    )


def _show(target: Target, text: bytes | str) -> str:
    beginning = text[:2000]
    if isinstance(beginning, bytes):
        beginning = beginning.decode("utf-8", "replace")
    return excerpt(target, beginning) or "empty"
