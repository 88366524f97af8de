"""The chat request and response in OpenAI's form, and their translation to and from the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coterie.types import JSON, Chunk, Completion, Message, Question, Sampling, Usage

MOST_CHOICES = 64
"""Choices of one request."""


class ChatMessage(BaseModel):
    """One message; what we do not know is kept and passed on."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None

    def to_domain(self) -> Message:
        return Message(self.role, self.content, dict(self.model_extra or {}))


class StreamOptions(BaseModel):
    """How a stream is told; what is not known here is refused."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False
    include_obfuscation: Annotated[
        Literal[False] | None, Field(description="nothing is padded")
    ] = None


class CoterieOptions(BaseModel):
    """What a request asks of Coterie itself; no expert sees it."""

    model_config = ConfigDict(extra="forbid")

    trace: Annotated[bool, Field(description="keep the α of fused answers in the why-record")] = (
        False
    )
    strategy: Annotated[
        str | None, Field(max_length=64, description="who decides, whatever `model` says")
    ] = None
    k: Annotated[int | None, Field(ge=1, description="how many experts are asked at most")] = None
    experts: Annotated[
        list[Annotated[str, Field(max_length=64)]] | None,
        Field(min_length=1, max_length=1000, description="the only ones that may be asked"),
    ] = None
    budget: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False, description="US dollars that all calls may cost together"),
    ] = None
    aggregator: Annotated[
        str | None,
        Field(
            max_length=64,
            description="`vote`: nobody writes; `synthesis`: one always writes the answer from "
            "several; an expert: it does; a vote's name: it judges",
        ),
    ] = None
    explain: Annotated[bool, Field(description="tell how the answer came about")] = False
    conversation: Annotated[
        str | None,
        Field(min_length=1, max_length=256, description="the caller's name for a conversation"),
    ] = None


class ChatRequest(BaseModel):
    """``POST /v1/chat/completions``; fields beyond these are passed to the experts untouched."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES, description="how many choices")] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    coterie: CoterieOptions | None = None

    @property
    def question(self) -> Question:
        return Question(tuple(m.to_domain() for m in self.messages))

    @property
    def sampling(self) -> Sampling:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            stop=stop,
            seed=self.seed,
            extra=dict(self.model_extra or {}),
        )

    @property
    def choices(self) -> int:
        """How many are wanted."""
        return self.n or 1

    @property
    def wants_trace(self) -> bool:
        """Whether the α of fused answers are to be kept."""
        return bool(self.coterie and self.coterie.trace)

    @property
    def wants_explanation(self) -> bool:
        """Whether the response tells how it came about."""
        return bool(self.coterie and self.coterie.explain)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)


def usage_body(usage: Usage, cost_usd: float | None = None) -> dict[str, float]:
    """OpenAI's usage object, with the cost where it is told."""
    cost = {} if cost_usd is None else {"cost_usd": cost_usd}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        **cost,
    }


def completion_body(
    id: str,
    created: int,
    model: str,
    answer: Completion,
    usage: Usage,
    cost_usd: float | None = None,
) -> dict[str, Any]:
    """The ``chat.completion`` object, with all choices of the answer."""
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice(i, c) for i, c in enumerate((answer, *answer.others))],
        "usage": usage_body(usage, cost_usd),
    }


def _choice(index: int, answer: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {**answer.message, "role": "assistant"}
    message.setdefault("content", answer.text)
    return {
        "index": index,
        "message": message,
        "finish_reason": answer.finish_reason,
        "logprobs": answer.logprobs,
    }


class ChunkBodies:
    """The ``chat.completion.chunk`` objects of one stream."""

    def __init__(self, id: str, created: int, model: str, *, with_usage: bool) -> None:
        self._head = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        # OpenAI: with include_usage every chunk carries the field, null until the last one.
        self._usage = {"usage": None} if with_usage else {}
        self._begun: set[int] = set()

    def delta(
        self,
        delta: Mapping[str, Any],
        finish_reason: str | None = None,
        logprobs: JSON = None,
        index: int = 0,
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "delta": delta,
            "finish_reason": finish_reason,
            "logprobs": logprobs,
        }
        return {**self._head, "choices": [choice], **self._usage}

    def pieces(self, chunk: Chunk, index: int = 0) -> list[dict[str, Any]]:
        """A chunk's bodies, after that which begins its choice; none for one that carries nothing a
        caller sees.  ``index`` is the first of this answer's choices."""
        piece = self._piece(chunk, index)
        if piece is None:
            return []
        at = index + chunk.index
        if at in self._begun:
            return [piece]
        self._begun.add(at)
        return [self.delta({"role": "assistant", "content": ""}, index=at), piece]

    def _piece(self, chunk: Chunk, index: int) -> dict[str, Any] | None:
        delta = {k: v for k, v in chunk.delta.items() if k != "role"}
        if chunk.text:
            delta["content"] = chunk.text
        if not delta and chunk.finish_reason is None and chunk.logprobs is None:
            return None
        return self.delta(delta, chunk.finish_reason, chunk.logprobs, index + chunk.index)

    def explained(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """How the answer came about."""
        return {**self._head, "choices": [], "coterie": told, **self._usage}

    def usage(self, usage: Usage, cost_usd: float | None = None) -> dict[str, Any]:
        return {**self._head, "choices": [], "usage": usage_body(usage, cost_usd)}
