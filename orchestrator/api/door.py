"""The door of the service: a request's body comes in whole, in time, and fit to be parsed.

    head ──> path and query without NUL ──> body: bounded, in time ──> JSON that is safe ──> app

Files are read where they are kept, piece by piece; here they are only not waited for for ever.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coterie.errors import BodyTooLarge, BodyTooSlow, BodyUnreadable, CoterieError
from orchestrator.json_text import trouble
from orchestrator.protocol.errors import status_and_body

PATIENCES: Final = 10
"""How many times the longest silence a whole body may take."""
DRAINED: Final = 4
"""How many times the longest body is read of one that is too long, and forgotten: a client that is
hung up on while it sends does not hear why."""
_FORM: Final = b"multipart/form-data"
_NUL: Final = (b"%00", b"\x00")


class CallerLeft(Exception):
    """The client went away before its request was whole."""


class Door:
    """Lets requests in whose body has at most ``most_bytes`` and comes without a silence of more
    than ``patience_s`` seconds."""

    def __init__(self, app: ASGIApp, most_bytes: int, patience_s: float) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            receive = await self._whole(scope, receive)
        except CoterieError as error:
            await _refuse(send, error)
        except CallerLeft:
            return
        else:
            await self._app(scope, receive, send)

    async def _whole(self, scope: Scope, receive: Receive) -> Receive:
        """What the app receives from."""
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            raise BodyUnreadable("the address holds a NUL character: leave it out")
        if scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS"):
            return receive
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").lower()
        if kind.startswith(_FORM):
            return self._in_time(receive)
        length = headers.get(b"content-length", b"0")
        if b"expect" in headers and length.isdigit() and int(length[:19]) > self._most_bytes:
            raise self._too_large()  # before it is sent
        body = await self._body(receive)
        _check(kind, body)
        return _again(body, receive)

    async def _body(self, receive: Receive) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(PATIENCES * self._patience_s):
                while True:
                    async with asyncio.timeout(self._patience_s):
                        message = await receive()
                    if message["type"] == "http.disconnect":
                        raise CallerLeft
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size <= self._most_bytes:
                        pieces.append(piece)
                    else:
                        pieces.clear()
                    more = message.get("more_body", False)
                    if size > (DRAINED if more else 1) * self._most_bytes:
                        raise self._too_large()
                    if not more:
                        return b"".join(pieces)
        except TimeoutError:
            if size > self._most_bytes:
                raise self._too_large() from None
            raise BodyTooSlow("the request's body did not come in time: send it faster") from None

    def _in_time(self, receive: Receive) -> Receive:
        """Receives as before, and takes a client that falls silent for one that has left."""
        whole = False

        async def receive_in_time() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(self._patience_s):
                    message = await receive()
            except TimeoutError:
                return {"type": "http.disconnect"}
            whole = not message.get("more_body")
            return message

        return receive_in_time

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"the request's body is longer than {self._most_bytes} bytes "
            "(COTERIE_MAX_BODY_BYTES): send less"
        )


def _check(kind: bytes, body: bytes) -> None:
    if kind.startswith(b"application/x-www-form-urlencoded"):
        if any(nul in body for nul in _NUL):
            raise BodyUnreadable("the form holds a NUL character: leave it out")
    elif told := trouble(body):
        raise BodyUnreadable(f"the request's body cannot be read: {told}")


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives ``body`` once, then what there is to receive besides: that the caller has left."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _refuse(send: Send, error: CoterieError) -> None:
    """OpenAI's error object.  What is left of the body is not read: the connection ends."""
    status, told = status_and_body(error)
    body = json.dumps(told).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
