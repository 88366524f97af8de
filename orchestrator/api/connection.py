"""One client's connection, with bounds that uvicorn does not have.

What a client may make the server hold before a request is handed on is bounded in size, and how
long it may take to say it, or to read its answer, in time.  What follows the head of a request is
the business of :mod:`orchestrator.api.door`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestrator.protocol.errors import error_body

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a request's line and headers together; other servers take 8 to 64 KiB."""
MOST_HEADERS: Final = 200


class Connection(HttpToolsProtocol):
    """uvicorn's connection; ``patience_s`` is how long it waits for a client that says nothing, or
    reads nothing."""

    patience_s: float = 30.0
    _head_bytes = 0
    _head_begun = False
    _head_whole = False
    _head_due: asyncio.TimerHandle | None = None
    _read_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self._is_read()
        super().connection_lost(exc)

    # --- the head of a request --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if not self._head_whole:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._head_whole and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(431, "the head of the request is too long: send fewer headers")

    def on_message_begin(self) -> None:
        self._head_whole, self._head_begun = False, True
        if self._head_due is None:  # on a connection that was used before
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_whole, self._head_begun, self._head_bytes = True, False, 0
        self._head_came()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS or len(name) + len(value) > MOST_HEAD_BYTES:
            self._refuse(431, f"a request may have {MOST_HEADERS} headers: send fewer")
            raise ValueError("too many headers")  # or the parser would go on

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(self.patience_s, self._too_slow)

    def _head_came(self) -> None:
        if self._head_due:
            self._head_due.cancel()
            self._head_due = None

    def _too_slow(self) -> None:
        self._head_due = None
        if self.cycle and not self.cycle.response_complete:
            self._expect_head()  # it waits for an answer before it goes on
        elif self._head_begun:
            self._refuse(408, "the head of the request did not come in time: send it faster")
        elif not self.transport.is_closing():
            self.transport.close()  # nothing was asked, so nothing is answered

    def _refuse(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        kind = "invalid_request_error"
        body = json.dumps(error_body(message, kind, None, None)).encode()
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    # --- a client that does not read --------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._read_due is None:
            self._read_due = self.loop.call_later(self.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._is_read()
        super().resume_writing()

    def _is_read(self) -> None:
        if self._read_due:
            self._read_due.cancel()
            self._read_due = None


_PHRASES: Final = {408: "Request Timeout", 431: "Request Header Fields Too Large"}


def connections_of(patience_s: float) -> type[asyncio.Protocol]:
    """The kind of connection that waits for a client for so many seconds."""
    kind: Any = type("Connection", (Connection,), {"patience_s": patience_s})
    return kind  # type: ignore[no-any-return]
