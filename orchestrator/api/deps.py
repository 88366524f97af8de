"""What endpoints ask for: the parts, and the right to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from coterie.errors import AccessDenied, RoleDenied
from orchestrator.keys.key import ANONYMOUS, Caller, Role
from orchestrator.parts import Parts

T = TypeVar("T")


class CallerGone(Exception):
    """The caller closed the connection: nobody waits for a response."""


def get_parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


def token_of(request: Request) -> str | None:
    """The key that the request bears, if any."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def identified(request: Request) -> Caller:
    """Whoever calls, found out once a request: :func:`caller_of` tells it again."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        known = await get_parts(request).keys.identify(token_of(request))
        request.state.caller = known
    return known


def caller_of(request: Request) -> Caller:
    """Whoever calls an endpoint that asked for one of the parts below."""
    return cast("Caller", request.state.caller)


def access_for(*roles: Role) -> Callable[[Request], Awaitable[Parts]]:
    """Gives the parts to callers that have one of the ``roles``."""

    async def access(request: Request) -> Parts:
        check_role(await identified(request), roles)
        return get_parts(request)

    return access


def check_role(caller: Caller, roles: Collection[Role]) -> None:
    """Raises :class:`AccessDenied` unless the caller has one of the ``roles``."""
    if caller.role in roles:
        return
    wanted = " or ".join(roles)
    if caller.id == ANONYMOUS:
        raise AccessDenied(
            f"this needs a key of role {wanted}: send 'Authorization: Bearer KEY', for one with "
            "the key from the server's admin.key file"
        )
    raise RoleDenied(
        f"the key {caller.name!r} has role {caller.role}, and this needs {wanted}: use another key"
    )


CLIENT_CLOSED_REQUEST = 499
"""The status of a response that nobody reads."""

CHATS = (Role.CHAT, Role.JOBS, Role.ADMIN)
RUNS_JOBS = (Role.JOBS, Role.ADMIN)
READS_JOBS = (Role.JOBS, Role.VIEWER, Role.ADMIN)
READS = (Role.VIEWER, Role.ADMIN)
CHANGES = (Role.ADMIN,)

ForChat = Annotated[Parts, Depends(access_for(*CHATS))]
ForReader = Annotated[Parts, Depends(access_for(*Role))]
"""Whoever may call at all: what belongs to a caller is checked by :meth:`Caller.owns`."""
ForJobs = Annotated[Parts, Depends(access_for(*RUNS_JOBS))]
ForJobReader = Annotated[Parts, Depends(access_for(*READS_JOBS))]
ForViewer = Annotated[Parts, Depends(access_for(*READS))]
ForAdmin = Annotated[Parts, Depends(access_for(*CHANGES))]
WhoCalls = Annotated[Caller, Depends(identified)]


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
