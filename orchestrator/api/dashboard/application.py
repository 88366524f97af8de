"""The dashboard's routes, files and errors, put into the application."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from orchestrator.access import read_or_make_key
from orchestrator.api.dashboard import (
    audit,
    errors,
    expert,
    experts,
    jobs,
    keys,
    login,
    overview,
    playground,
    reports,
    requests,
    skills,
    workers,
)
from orchestrator.api.dashboard.rendering import STATIC, Pages
from orchestrator.api.dashboard.session import Sessions
from orchestrator.parts import Parts

PAGES = (
    login,
    overview,
    experts,
    expert,
    reports,
    jobs,
    workers,
    keys,
    audit,
    playground,
    requests,
    skills,
)
"""The modules whose ``router`` holds pages; each declares the right it needs."""


def install(app: FastAPI, parts: Parts) -> None:
    """Adds everything under ``/dashboard``, and leads ``/`` there."""
    own = read_or_make_key(parts.settings.session_key_file)
    app.state.dashboard_sessions = Sessions(own + parts.access.admin_key)
    app.state.dashboard_pages = Pages()
    for module in PAGES:
        app.include_router(module.router, prefix="/dashboard", include_in_schema=False)
    app.mount("/dashboard/static", Files(directory=STATIC), name="static")
    app.add_api_route("/", home, include_in_schema=False)
    errors.install(app)


async def home(request: Request) -> Response:
    """Where people who open the server's address want to go."""
    return RedirectResponse("/dashboard", 307)


class Files(StaticFiles):
    """Scripts and styles; their addresses carry their content's hash, so they are kept for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
