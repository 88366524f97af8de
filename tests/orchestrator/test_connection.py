"""What a client may make the server hold, and for how long: raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from orchestrator.api.connection import MOST_HEAD_BYTES, MOST_HEADERS, connections_of
from orchestrator.api.door import Door

PATIENCE_S = 0.2
MOST_BYTES = 100_000
SOON_S = 5.0


class Echo:
    """Answers with the length of what it was sent; ``/flood`` with more than anybody buffers."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.flooding = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        body = (await receive()).get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/flood":
            self.flooding.set()
            for _ in range(1000):
                await send(
                    {"type": "http.response.body", "body": bytes(100_000), "more_body": True}
                )
            self.left.set()  # it was hung up on: to nobody, everything is sent at once
        await send({"type": "http.response.body", "body": str(len(body)).encode()})


@pytest.fixture
async def served() -> AsyncIterator[tuple[int, Echo]]:
    echo = Echo()
    config = uvicorn.Config(
        Door(echo, MOST_BYTES, PATIENCE_S),
        port=0,
        log_level="critical",
        lifespan="off",
        ws="none",
        http=connections_of(PATIENCE_S),
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1], echo
    server.should_exit = True
    await task


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """All that comes back until the server hangs up."""
    async with asyncio.timeout(SOON_S), connected(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def told(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"])


CLOSE = b"host: x\r\nconnection: close\r\n"


async def test_a_usual_request_passes(served: Any) -> None:
    port, _ = served
    found = await answer_to(
        port, b"POST /a HTTP/1.1\r\ncontent-length: 4\r\n" + CLOSE + b"\r\nbody"
    )
    assert status_of(found) == 200
    assert found.endswith(b"4\r\n0\r\n\r\n")


async def test_too_many_headers_are_refused(served: Any) -> None:
    port, echo = served
    flood = b"".join(b"x-%d: 1\r\n" % i for i in range(MOST_HEADERS + 1))
    found = await answer_to(port, b"GET /a HTTP/1.1\r\n" + CLOSE + flood + b"\r\n")
    assert status_of(found) == 431
    assert "200 headers" in told(found)
    assert echo.seen == []


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\nx"])
async def test_a_head_without_end_is_refused_and_not_kept(served: Any, start: bytes) -> None:
    port, echo = served
    async with asyncio.timeout(SOON_S), connected(port) as (reader, writer):
        writer.write(start)
        sent = 0
        while not reader.at_eof() and sent < 100 * MOST_HEAD_BYTES:
            writer.write(b"a" * 8192)
            sent += 8192
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)
    assert sent < 100 * MOST_HEAD_BYTES
    assert echo.seen == []


async def test_one_header_that_is_too_long_is_refused(served: Any) -> None:
    port, _ = served
    long = b"x: " + b"a" * (MOST_HEAD_BYTES + 10) + b"\r\n"
    found = await answer_to(port, b"GET / HTTP/1.1\r\n" + CLOSE + long + b"\r\n")
    assert status_of(found) == 431


async def test_a_client_that_says_nothing_is_hung_up_on(served: Any) -> None:
    port, _ = served
    assert await answer_to(port) == b""


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_come_in_time_is_told(served: Any, start: bytes) -> None:
    port, _ = served
    found = await answer_to(port, start)
    assert status_of(found) == 408
    assert "did not come in time" in told(found)


async def test_a_connection_that_was_used_waits_no_longer_for_the_next_head(served: Any) -> None:
    port, echo = served
    request = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
    found = await answer_to(port, request, b"GET /b HTTP/1.1\r\n")
    assert found.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in found
    assert echo.seen == ["/a"]


@pytest.mark.parametrize(
    "start",
    [
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_a_body_that_does_not_come_in_time_is_told(served: Any, start: bytes) -> None:
    port, echo = served
    found = await answer_to(port, start)
    assert status_of(found) == 408
    assert echo.seen == []


async def test_a_body_that_drips_is_not_waited_for_for_ever(served: Any) -> None:
    port, echo = served
    async with asyncio.timeout(SOON_S), connected(port) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        while not reader.at_eof() and not reader._buffer:  # type: ignore[attr-defined]
            writer.write(b" ")
            await asyncio.sleep(PATIENCE_S / 4)
        assert b" 408 " in await reader.readline()
    assert echo.seen == []


@pytest.mark.parametrize(
    "start",
    [
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 150000\r\n\r\n" + b"a" * 150_000,
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n" + b"a" * 350_000,
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 150000\r\nexpect: 100-continue\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        + (b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n") * 5
        + b"0\r\n\r\n",
    ],
)
async def test_a_body_that_is_too_long_is_told_and_not_kept(served: Any, start: bytes) -> None:
    port, echo = served
    found = await answer_to(port, start)
    assert status_of(found) == 413
    assert "longer than 100000 bytes" in told(found)
    assert echo.seen == []


async def test_a_client_that_does_not_read_is_hung_up_on(served: Any) -> None:
    port, echo = served
    async with asyncio.timeout(SOON_S), connected(port) as (reader, writer):
        reader._limit = 1  # type: ignore[attr-defined]
        writer.write(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        await echo.flooding.wait()
        await echo.left.wait()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"\xff\xfe GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 9 + b"x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(served: Any, garbage: bytes) -> None:
    port, echo = served
    assert status_of(await answer_to(port, garbage)) in (400, 408)
    assert echo.seen == []
