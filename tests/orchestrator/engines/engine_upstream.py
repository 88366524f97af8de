"""A scripted OpenAI-compatible server on the loopback, with real sockets.

Each test hands it the replies to give; it keeps what it was sent, and notices who hangs up.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
Reply = Callable[[Request], Any]


def completion(text: str = "Paris it is", **changes: Any) -> dict[str, Any]:
    """The body of a proper completion."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE, **changes}


def events(text: str = "Paris it is") -> list[str]:
    """The events of the same answer streamed, as vLLM sends them."""
    words = [word + " " for word in text.split()]
    words[-1] = words[-1].strip()
    first = {"role": "assistant", "content": ""}
    deltas: list[dict[str, str]] = [first, *({"content": word} for word in words)]
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas
    ]
    choices.append([{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}])
    rows: list[dict[str, Any]] = [{"id": "1", "choices": choice} for choice in choices]
    rows.append({"id": "1", "choices": [], "usage": USAGE})
    return [*(f"data: {json.dumps(row)}\n\n" for row in rows), "data: [DONE]\n\n"]


@dataclass
class Upstream:
    """The server.  ``replies`` are given in order, then the usual answer."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    callers: list[int] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    tokenize: Reply | None = None
    health: Reply | None = None
    models: Reply | None = None
    others: dict[str, Reply] = field(default_factory=dict)

    def says(self, *replies: Reply) -> None:
        self.replies.extend(replies)

    def app(self) -> FastAPI:
        app = FastAPI()

        async def chat(request: Request) -> Response:
            self.paths.append(request.url.path)
            self.bodies.append(await request.json())
            self.headers.append(dict(request.headers))
            self.callers.append(request.client.port if request.client else 0)
            self.asked.set()
            reply = self.replies.pop(0) if self.replies else self._usual
            return await _called(reply, request)

        async def other(request: Request) -> Response:
            self.paths.append(request.url.path)
            reply = {
                "/tokenize": self.tokenize,
                "/health": self.health,
                "/v1/models": self.models,
                **self.others,
            }.get(request.url.path)
            if reply is None:
                return JSONResponse({"detail": "Not Found"}, 404)
            return await _called(reply, request)

        app.add_api_route("/v1/chat/completions", chat, methods=["POST"], response_model=None)
        app.add_api_route("/{path:path}", other, methods=["GET", "POST"], response_model=None)
        return app

    def _usual(self, request: Request) -> Response:
        if self.bodies[-1].get("stream"):
            return streamed(events())
        return JSONResponse(completion())

    async def hangs(self, request: Request) -> Response:
        """Never answers; notes when the caller hangs up."""
        while not await request.is_disconnected():
            await asyncio.sleep(0.02)
        self.hung_up.set()
        return Response()

    async def trickles(self, request: Request) -> Response:
        """Streams without end; notes when the caller hangs up."""

        async def body() -> AsyncIterator[str]:
            try:
                while True:
                    yield events("more")[1]
                    await asyncio.sleep(0.02)
            finally:
                self.hung_up.set()

        return StreamingResponse(body(), media_type="text/event-stream")


async def _called(reply: Reply, request: Request) -> Response:
    result = reply(request)
    answer: Response = await result if asyncio.iscoroutine(result) else result
    return answer


def streamed(pieces: Sequence[str | bytes], *, breaks: bool = False) -> Response:
    """Server-sent events, piece by piece; ``breaks`` drops the connection in the middle."""

    async def body() -> AsyncIterator[str | bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)
        if breaks:
            await asyncio.sleep(0.05)
            raise ConnectionResetError("as scripted")

    return StreamingResponse(body(), media_type="text/event-stream")


def answers(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with ``body`` as JSON, or as it is where it is bytes."""
    if isinstance(body, bytes):
        return lambda request: Response(body, status, dict(headers or {}))
    return lambda request: JSONResponse(body, status, dict(headers or {}))


def refuses(status: int, message: str, *, code: Any = None, **headers: str) -> Reply:
    """OpenAI's error object with ``status``."""
    error = {"message": message, "type": "error", "param": None, "code": code}
    return answers({"error": error}, status, {k.replace("_", "-"): v for k, v in headers.items()})


@contextlib.asynccontextmanager
async def running_upstream() -> AsyncIterator[Upstream]:
    """An upstream that listens while the context lasts."""
    upstream = Upstream()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    upstream.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        upstream.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with contextlib.suppress(AttributeError):
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield upstream
    finally:
        server.should_exit = True
        await task
        listener.close()
