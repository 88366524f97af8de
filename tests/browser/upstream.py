"""An OpenAI-compatible server that says what a test tells it, over real HTTP, word by word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class Said:
    """What the models of one server say: ``answers`` by model, a text or a function of the prompt.

    ``pause_s`` is between two words of a stream.
    """

    answers: dict[str, str | Callable[[str], str]]
    pause_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)

    def of(self, body: dict[str, Any]) -> str:
        self.asked.append(body)
        said = self.answers[body["model"]]
        return said if isinstance(said, str) else said(str(body["messages"][-1]["content"]))


@asynccontextmanager
async def upstream(said: Said) -> AsyncIterator[str]:
    """The server's address, without ``/v1``, while the context lasts."""

    async def models(request: Request) -> Response:
        data = [{"id": name, "object": "model", "owned_by": "test"} for name in said.answers]
        return JSONResponse({"object": "list", "data": data})

    async def chat(request: Request) -> Response:
        body = await request.json()
        text = said.of(body)
        if body.get("stream"):
            return StreamingResponse(_stream(body, text, said.pause_s), media_type=EVENTS)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({**_head(body, ""), "choices": [choice], "usage": _usage(text)})

    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/health", lambda request: Response()),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        await task


EVENTS = "text/event-stream"


def _head(body: dict[str, Any], suffix: str) -> dict[str, Any]:
    kind = f"chat.completion{suffix}"
    return {"id": "chatcmpl-test", "object": kind, "created": 0, "model": body["model"]}


def _usage(text: str) -> dict[str, int]:
    words = len(text.split())
    return {"prompt_tokens": 7, "completion_tokens": words, "total_tokens": 7 + words}


async def _stream(body: dict[str, Any], text: str, pause_s: float) -> AsyncIterator[str]:
    head = _head(body, ".chunk")
    words = text.split(" ")
    for i, word in enumerate(words):
        delta = {"role": "assistant", "content": word if i == 0 else f" {word}"}
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        await asyncio.sleep(pause_s)
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield _event({**head, "choices": [end]})
    yield _event({**head, "choices": [], "usage": _usage(text)})
    yield "data: [DONE]\n\n"


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
