"""What endpoints ask for: the parts, and the right to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.parts import Parts

T = TypeVar("T")


class CallerGone(Exception):
    """The caller closed the connection: nobody waits for a response."""


def get_parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


def chat_access(request: Request) -> Parts:
    """The parts, for callers that may chat."""
    parts = get_parts(request)
    parts.access.check_chat(request.headers.get("authorization"))
    return parts


def admin_access(request: Request) -> Parts:
    """The parts, for callers that may change the registry."""
    parts = get_parts(request)
    parts.access.check_admin(request.headers.get("authorization"))
    return parts


ForChat = Annotated[Parts, Depends(chat_access)]
ForAdmin = Annotated[Parts, Depends(admin_access)]


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled as soon as the caller goes away.

    The request's body must have been read from ``receive`` before.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerGone
        return task.result()
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """Server-sent events that stop being made as soon as the caller goes away.

    Starlette notices that only when it sends: an upstream that thinks for a minute would be kept
    thinking for nobody.  ``close`` is called at the end, however it came.
    """

    def __init__(
        self,
        lines: AsyncGenerator[str, None],
        headers: Mapping[str, str],
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        # Buffering by a proxy in between would hold tokens back.
        quick = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(lines, media_type="text/event-stream", headers={**headers, **quick})
        self._lines = lines
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._lines):
                with suppress(CallerGone):
                    await while_connected(receive, self.stream_response(send))
        finally:
            # Closing lines that were never begun would not run what stands in them.
            if self._close:
                await self._close()
