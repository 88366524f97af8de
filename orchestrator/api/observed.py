"""Every request has an id, is counted, timed and traced, and where it is wanted has a log line."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.chat import CLIENT_CLOSED_REQUEST, new_request_id
from orchestrator.keys.key import Caller
from orchestrator.observability import attributes as names
from orchestrator.observability import catalogue
from orchestrator.observability.catalogue import OTHER
from orchestrator.observability.logs import REQUEST_ID
from orchestrator.observability.observer import Observer

log = logging.getLogger("coterie.access")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DASHBOARD: Final = "/dashboard"
_THEIR_ID: Final = re.compile(r"[\w.:/+=-]{1,128}")


class Observed:
    """Gives every request an id, sends it back as ``x-request-id``, and tells how it went.

    The id is ours, never the caller's: it is also the key of the why-record.  An ``x-request-id``
    of the caller's is kept beside it, and sent back as ``x-client-request-id``.
    """

    def __init__(self, app: ASGIApp, observer: Observer, *, logs: bool) -> None:
        self._app = app
        self._tracing = observer.tracing
        self._logs = logs
        self._metrics = observer.metrics
        self._in_progress = observer.metrics.gauge(catalogue.REQUESTS_IN_PROGRESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope)
        # Never reset: the line about an error is written farther out, by the same task.
        REQUEST_ID.set(request.id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request.id
                if request.theirs:
                    headers["x-client-request-id"] = request.theirs
            await send(message)

        self._in_progress.inc()
        try:
            if self._tracing.on:
                await self._traced(request, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            request.status = request.status or CLIENT_CLOSED_REQUEST
            raise
        except Exception:
            request.status = 500
            raise
        finally:
            self._in_progress.dec()
            self._over(request)

    async def _traced(self, request: _Request, receive: Receive, send: Send) -> None:
        scope, tracing = request.scope, self._tracing
        said = {
            names.HTTP_METHOD: request.method,
            names.URL_PATH: request.path,
            names.REQUEST_ID: request.id,
        }
        if request.theirs:
            said[names.CLIENT_REQUEST_ID] = request.theirs
        with tracing.serving(request.method, scope["headers"], said):
            try:
                await self._app(scope, receive, send)
            except BaseException as error:
                tracing.failed(type(error).__name__)
                raise
            finally:
                tracing.rename(f"{request.method} {request.endpoint}")
                tracing.note(
                    {
                        names.HTTP_ROUTE: request.endpoint,
                        names.HTTP_STATUS: request.status,
                        names.KEY_ID: request.key,
                    }
                )
                if request.status >= 500:
                    tracing.failed(str(request.status))

    def _over(self, request: _Request) -> None:
        took_s = time.perf_counter() - request.began_s
        endpoint = request.endpoint
        status = _status(request.status)
        self._metrics.count(catalogue.REQUESTS, request.method, endpoint, status)
        self._metrics.observe(catalogue.REQUEST_SECONDS, took_s, endpoint)
        if self._logs:
            told = {
                "method": request.method,
                "path": request.path,
                "status": request.status,
                "ms": round(took_s * 1000, 1),
                "key_id": request.key,
            }
            if request.theirs:
                told["client_request_id"] = request.theirs
            line = " ".join(f"{name}={value}" for name, value in told.items())
            log.info("%s", line, extra={"fields": told})


class _Request:
    """What is known of a request from outside."""

    __slots__ = ("began_s", "id", "method", "scope", "status", "theirs")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.id = new_request_id()
        self.status = 0
        self.began_s = time.perf_counter()
        self.method: str = scope["method"] if scope["method"] in METHODS else OTHER
        self.theirs = _their_id(scope)
        scope.setdefault("state", {})["request_id"] = self.id

    @property
    def path(self) -> str:
        """As it was sent: what is quoted in it stays so, and cannot break a line."""
        raw: bytes = self.scope.get("raw_path") or b""
        return raw.partition(b"?")[0].decode("ascii", "backslashreplace")

    @property
    def endpoint(self) -> str:
        """The path with its variables unfilled."""
        path: str = self.scope["path"]
        if path == DASHBOARD or path.startswith(f"{DASHBOARD}/"):
            return DASHBOARD  # its pages are of one kind, and many
        route: Any = self.scope.get("route")
        return str(getattr(route, "path", OTHER))

    @property
    def key(self) -> str:
        """The id of the key it bore, as far as anybody looked at it."""
        caller: Caller | None = self.scope["state"].get("caller")
        return caller.id if caller else ""


def _their_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _THEIR_ID.fullmatch(text) and text.isascii() else ""
    return ""


def _status(status: int) -> str:
    if status == CLIENT_CLOSED_REQUEST:
        return str(status)
    return f"{status // 100}xx" if 100 <= status < 600 else OTHER
