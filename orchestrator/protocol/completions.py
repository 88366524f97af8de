"""OpenAI's older completions, read as chats: a prompt is what a user says, and nothing else.

Every expert is asked in chat, through its own template; whatever a chat cannot do for a bare
prompt is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from coterie.errors import RequestError
from coterie.types import Usage
from orchestrator.protocol.chat import (
    MOST_CHOICES,
    ChatRequest,
    CoterieOptions,
    StreamOptions,
    usage_body,
)
from orchestrator.protocol.responses import NOT_EXPLAINED, as_chat, refused

REFUSED: Mapping[str, str] = {
    "suffix": "experts are asked in chat, where nothing follows the answer",
    "logprobs": "the tokens of a chat are not those of a bare prompt; use /v1/chat/completions",
    "best_of": "no answer is drawn to be thrown away: ask for 'n', and choose",
    "prompt_logprobs": "the tokens of a chat are not those of a bare prompt",
}
"""Fields that are not taken, unless they ask for nothing, and why."""


class CompletionsRequest(BaseModel):
    """``POST /v1/completions``; fields beyond these are passed to the experts untouched."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1)]
    prompt: str | list[Any]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    echo: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    coterie: CoterieOptions | None = None

    @property
    def prompts(self) -> list[str]:
        """The prompts; raises :class:`RequestError` for what is none."""
        given = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        if any(isinstance(one, int | list) for one in given):
            raise RequestError(
                "'prompt' holds tokens, and experts differ in what theirs mean: send the text",
                param="prompt",
            )
        if not given or not all(isinstance(one, str) and one for one in given):
            raise RequestError("'prompt' must be a text, or a list of texts", param="prompt")
        return given

    def to_chats(self) -> list[ChatRequest]:
        """One chat for each choice: the ``n`` of the first prompt, then those of the next.

        Raises :class:`RequestError` for what no chat can do.
        """
        extra, n, prompts = self._extra(), self.n or 1, self.prompts
        if n * len(prompts) > MOST_CHOICES:
            raise RequestError(
                f"{len(prompts)} prompts {n} times are more than {MOST_CHOICES} choices: send them "
                "in several requests",
                param="n" if n > 1 else "prompt",
            )
        if self.coterie and self.coterie.explain:
            raise refused("coterie.explain", NOT_EXPLAINED)
        kept = ("model", "max_tokens", "temperature", "top_p", "stop", "stream", "coterie")
        shared = {**extra, **{name: getattr(self, name) for name in kept}}
        chats = []
        for prompt in prompts:
            asked = {**shared, "messages": [{"role": "user", "content": prompt}]}
            # The same seed would draw the same answer again.
            seeds = [None if self.seed is None else self.seed + k for k in range(n)]
            chats += [as_chat({**asked, "seed": seed}) for seed in seeds]
        return chats

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def echoed(self, index: int) -> str:
        """What stands before the answer of choice ``index``."""
        return self.prompts[index // (self.n or 1)] if self.echo else ""

    def _extra(self) -> dict[str, Any]:
        extra = dict(self.model_extra or {})
        if extra.get("best_of") == (self.n or 1):
            del extra["best_of"]
        for name, why in REFUSED.items():
            if extra.pop(name, None) not in (None, ""):
                raise refused(name, why)
        return extra


class CompletionBodies:
    """The ``text_completion`` objects of one request."""

    def __init__(self, id: str, created: int, model: str, *, with_usage: bool = False) -> None:
        self._head = {"id": id, "object": "text_completion", "created": created, "model": model}
        # OpenAI: with include_usage every chunk carries the field, null until the last one.
        self._usage = {"usage": None} if with_usage else {}

    def whole(self, choices: list[dict[str, Any]], usage: Usage, cost_usd: float) -> dict[str, Any]:
        """The answer to all prompts; also the last chunk of a stream, without choices."""
        return {**self._head, "choices": choices, "usage": usage_body(usage, cost_usd)}

    def piece(self, index: int, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        """A chunk of choice ``index``."""
        return {**self._head, "choices": [choice(index, text, finish_reason)], **self._usage}


def choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    """One choice, whole or a piece of it."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
