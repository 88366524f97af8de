"""The FastAPI application over the assembled parts."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coterie import __version__
from orchestrator.api import (
    admin,
    aggregation,
    batches,
    chat,
    completions,
    dashboard,
    embeddings,
    errors,
    files,
    health,
    jobs,
    keys,
    models,
    records,
    responses,
    skills,
)
from orchestrator.api.chat import new_request_id
from orchestrator.api.described import EVERYWHERE
from orchestrator.api.door import Door
from orchestrator.parts import Parts

MODULES = (
    records,  # first: "/v1/routes/export" is no id
    chat,
    responses,
    completions,
    embeddings,
    models,
    health,
    admin,
    keys,
    skills,
    aggregation,
    jobs,
    files,
    batches,
)
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_app(parts: Parts) -> FastAPI:
    """The service's HTTP application."""
    app = FastAPI(title="Coterie", version=__version__, docs_url="/docs", redoc_url=None)
    app.state.parts = parts
    errors.install(app)
    for module in MODULES:
        app.include_router(module.router, responses=EVERYWHERE)
    dashboard.install(app, parts)
    if parts.settings.is_loopback:
        # A page in a browser must not reach a keyless loopback server through a name of its own.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    settings = parts.settings
    app.add_middleware(
        Door, most_bytes=settings.max_body_bytes, patience_s=settings.client_timeout_s
    )
    app.add_middleware(RequestId)
    return app


class RequestId:
    """Gives every request an id and sends it back as ``x-request-id``.

    The id is ours, never the caller's: it is also the key of the why-record.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id = new_request_id()
        scope.setdefault("state", {})["request_id"] = id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = id
            await send(message)

        await self._app(scope, receive, send_with_id)
