"""A server that speaks OpenAI's API and does what its models' names say, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = "It is forty two. The answer is (B)."
WEATHER = {"name": "weather", "arguments": '{"city": "Paris"}'}
NAMES = ("speaker", "thinker", "cutter", "breaker", "refuser")


class Upstream:
    """What was asked of it is in ``asked``; ``pause_s`` is before a stream's second word."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.pause_s = 0.0
        self.url = ""

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        if body["model"] == "refuser":
            error = {"message": "no such word", "type": "invalid_request_error", "code": "odd"}
            return JSONResponse({"error": error}, 400)
        message = self._message(body)
        if body.get("stream"):
            lines = self._stream(body, message)
            return StreamingResponse(lines, media_type="text/event-stream")
        told = {"finish_reason": _reason(body, message), "logprobs": _logprobs(body, WORDS)}
        choices = [{"index": i, "message": message, **told} for i in range(_choices(body))]
        return JSONResponse({**_head(body, ""), "choices": choices, "usage": USAGE})

    async def embed(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        length = body.get("dimensions", 3)
        data = [
            {"object": "embedding", "index": i, "embedding": [float(len(t))] + [0.5] * (length - 1)}
            for i, t in enumerate(body["input"])
        ]
        data.reverse()  # by index, not by place
        usage = {"prompt_tokens": 4 * len(data), "total_tokens": 4 * len(data)}
        return JSONResponse(
            {"object": "list", "model": body["model"], "data": data, "usage": usage}
        )

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": WORDS}
        if body["model"] == "thinker":
            said["reasoning_content"] = "Six times seven."
        if body.get("response_format", {}).get("type") == "json_schema":
            said["content"] = '{"n": 42}'
        if body.get("tools") and body["messages"][-1]["role"] == "user":
            call = {"id": "call_1", "type": "function", "function": WEATHER}
            said = {"role": "assistant", "content": None, "tool_calls": [call]}
        return said

    async def _stream(self, body: dict[str, Any], message: dict[str, Any]) -> AsyncIterator[str]:
        def event(delta: dict[str, Any], reason: str | None = None, index: int = 0) -> str:
            told = {"finish_reason": reason, "logprobs": _logprobs(body, delta.get("content"))}
            choice = {"index": index, "delta": delta, **told}
            return _event({**_head(body, ".chunk"), "choices": [choice]})

        if thought := message.get("reasoning_content"):
            yield event({"reasoning_content": thought})
        for i, word in enumerate((message["content"] or "").split(" ")):
            if i == 1:
                await asyncio.sleep(self.pause_s)
                if body["model"] == "breaker":
                    yield _event({"error": {"message": "out of memory", "code": 500}})
                    return
            for index in range(_choices(body)):
                yield event({"content": word if i == 0 else f" {word}"}, index=index)
        for i, call in enumerate(message.get("tool_calls", ())):
            begun = {**call, "index": i, "function": {**call["function"], "arguments": ""}}
            yield event({"tool_calls": [begun]})
            for piece in (WEATHER["arguments"][:5], WEATHER["arguments"][5:]):
                yield event({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
        for index in range(_choices(body)):
            yield event({}, _reason(body, message), index)
        yield _event({**_head(body, ".chunk"), "choices": [], "usage": USAGE})
        yield "data: [DONE]\n\n"


USAGE = {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15}


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """The server, while the context lasts."""
    made = Upstream()
    routes = [
        Route("/v1/chat/completions", made.chat, methods=["POST"]),
        Route("/v1/embeddings", made.embed, methods=["POST"]),
        Route("/health", lambda request: Response()),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.should_exit = server.force_exit = True
        await task


def _reason(body: dict[str, Any], message: dict[str, Any]) -> str:
    if message.get("tool_calls"):
        return "tool_calls"
    return "length" if body["model"] == "cutter" else "stop"


def _choices(body: dict[str, Any]) -> int:
    """As many as asked for, but of a model that passes over what it does not know."""
    return 1 if body["model"] == "cutter" else body.get("n", 1)


def _logprobs(body: dict[str, Any], text: str | None) -> dict[str, Any] | None:
    if not (text and body.get("logprobs")) or body["model"] == "cutter":
        return None
    best = [{"token": text, "logprob": -0.5, "bytes": None}] * body.get("top_logprobs", 0)
    return {"content": [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": best}]}


def _head(body: dict[str, Any], suffix: str) -> dict[str, Any]:
    kind = f"chat.completion{suffix}"
    return {"id": "chatcmpl-test", "object": kind, "created": 0, "model": body["model"]}


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
