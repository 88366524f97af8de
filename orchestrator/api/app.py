"""The FastAPI application over the assembled parts."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

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
    metrics,
    models,
    records,
    responses,
    skills,
)
from orchestrator.api.described import EVERYWHERE
from orchestrator.api.door import Door
from orchestrator.api.observed import Observed
from orchestrator.parts import Parts

MODULES = (
    records,  # first: "/v1/routes/export" is no id
    chat,
    responses,
    completions,
    embeddings,
    models,
    health,
    metrics,
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
    app.add_middleware(Observed, observer=parts.observer, logs=settings.logs_access)
    return app
