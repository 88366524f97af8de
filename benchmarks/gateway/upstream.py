"""The least a chat server can do: it reads a request and writes an answer that stands ready.

    python benchmarks/gateway/upstream.py PORT [--chunks 64] [--gap-ms 0] [--fails]

A stream has ``chunks`` pieces of text, written one by one, with ``gap-ms`` between them.  With
``--fails`` it answers one question in six, and fails the others in five ways.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import cast

import httptools
import uvloop

USAGE = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
BASE = {"id": "x", "created": 0, "model": "trivial"}
LISTED = json.dumps({"object": "list", "data": [{"id": "trivial", "object": "model"}]}).encode()
MESSAGE = {"role": "assistant", "content": "The answer is 42."}
ANSWER = json.dumps(
    {
        **BASE,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()


def event(choices: list[dict[str, object]], **more: object) -> bytes:
    body = {**BASE, "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def delta(text: str, reason: str | None = None) -> bytes:
    return event([{"index": 0, "delta": {"content": text}, "finish_reason": reason}])


def framed(piece: bytes) -> bytes:
    """A chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = framed(delta("word "))
LAST = framed(delta("", "stop")) + framed(event([], usage=USAGE)) + framed(b"data: [DONE]\n\n")
END = b"0\r\n\r\n"
REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection; one request at a time, as clients without pipelining send them."""

    chunks, gap_s, fails = 64, 0.0, False
    asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast("asyncio.WriteTransport", transport)
        self._reads = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._streams: set[asyncio.Task[None]] = set()

    def data_received(self, data: bytes) -> None:
        self._reads.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        for task in self._streams:
            task.cancel()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if not self._url.endswith(b"/chat/completions"):
            self._out.write(whole(LISTED if b"models" in self._url else b"{}"))
        elif self.fails and (way := self._next()):
            self._fail(way)
        elif b'"stream":true' in body or b'"stream": true' in body:
            task = asyncio.ensure_future(self._stream())
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        else:
            self._out.write(whole(ANSWER))

    def _next(self) -> int:
        """In which way it fails this time; 0: in none."""
        Answering.asked += 1
        return Answering.asked % 6

    def _fail(self, way: int) -> None:
        """An error, half an answer, nonsense, hanging up at once, or (5) nothing at all."""
        if way < 4:
            self._out.write((REFUSAL, STREAM + PIECE, whole(b"<html>"))[way - 1])
        if way in (2, 4):
            self._out.close()

    async def _stream(self) -> None:
        self._out.write(STREAM)
        for _ in range(self.chunks):
            self._out.write(PIECE)
            await asyncio.sleep(self.gap_s)
        self._out.write(LAST + END)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--chunks", type=int, default=64)
    parser.add_argument("--gap-ms", type=float, default=0.0)
    parser.add_argument("--fails", action="store_true")
    args = parser.parse_args()
    Answering.chunks, Answering.gap_s = args.chunks, args.gap_ms / 1000
    Answering.fails = args.fails
    uvloop.run(serve(args.port))


if __name__ == "__main__":
    main()
