"""Chat completions of the imitation, whole and streamed, in vLLM's form.

entrypoints/openai/chat_completion/serving.py: an answer that was aborted comes with status 200 and
the finish_reason ``abort``; an engine that dies in mid-stream is told of in an event.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from tests.imitation.core import Core, EngineDead, Request


async def whole(core: Core, request: Request, model: str, stops: list[str]) -> dict[str, Any]:
    """The body of the whole answer."""
    tokens = [token async for token in core.tokens(request)]
    text, reason = _stopped("".join(tokens), request.finished, stops)
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": None}
    message |= {"audio": None, "function_call": None, "reasoning": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    choice |= {"stop_reason": None, "token_ids": None}
    head = _head("chat.completion", model)
    return {**head, "choices": [choice], "usage": _usage(request), "system_fingerprint": None}


async def streamed(
    core: Core, request: Request, model: str, *, include_usage: bool
) -> AsyncIterator[str]:
    """The events of the same answer."""
    head = _head("chat.completion.chunk", model)

    def event(delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**head, "choices": [choice]})

    try:
        yield event({"role": "assistant", "content": ""})
        held: str | None = None  # the last token and the finish_reason come in one event
        async for token in core.tokens(request):
            if held is not None:
                yield event({"content": held})
            held = token
        yield event({"content": held or ""}, request.finished)
        if include_usage:
            yield _event({**head, "choices": [], "usage": _usage(request)})
    except EngineDead as dead:
        yield _event(error_body(str(dead), "InternalServerError", 500))
    yield "data: [DONE]\n\n"


def error_body(message: str, kind: str, code: int, param: str | None = None) -> dict[str, Any]:
    """entrypoints/serve/engine/protocol.py: ErrorResponse."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _stopped(text: str, reason: str | None, stops: list[str]) -> tuple[str, str | None]:
    ends = [text.index(stop) for stop in stops if stop in text]
    return (text[: min(ends)], "stop") if ends else (text, reason)


def _head(kind: str, model: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def _usage(request: Request) -> dict[str, Any]:
    prompt, made = len(request.prompt), request.made
    return {"prompt_tokens": prompt, "total_tokens": prompt + made, "completion_tokens": made}


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
