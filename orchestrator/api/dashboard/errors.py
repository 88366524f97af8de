"""Errors of the dashboard: a page for a page, a notice for a piece of one."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from orchestrator.api.dashboard.guard import LoginNeeded, pages_of

PREFIX = "/dashboard"


def install(app: FastAPI) -> None:
    """Adds the handler that leads to the login."""

    @app.exception_handler(LoginNeeded)
    async def to_login(request: Request, error: LoginNeeded) -> Response:
        if "hx-request" in request.headers:
            return Response(status_code=204, headers={"HX-Redirect": error.address})
        return RedirectResponse(error.address, 303)


def is_page(request: Request) -> bool:
    """Whether an error of this request is shown to somebody in a browser.

    A script that reads JSON says so, and tells it in its own words.
    """
    reads_json = "application/json" in request.headers.get("accept", "")
    return request.url.path.startswith(PREFIX) and not reads_json


def error_page(request: Request, status: int, message: str) -> Response:
    """``message`` as a page; for htmx as a notice, which goes where notices go."""
    values = {"status": status, "message": message, "visit": None}
    if "hx-request" in request.headers:
        response = pages_of(request).response(request, "notice.html", values, status)
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "innerHTML"
        return response
    return pages_of(request).response(request, "error.html", values, status)
