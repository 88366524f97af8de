"""Logging in with a key, and out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from coterie.errors import AccessDenied
from orchestrator.api.dashboard.guard import (
    RIGHTS,
    Enters,
    Right,
    check_site,
    pages_of,
    sessions_of,
)
from orchestrator.api.dashboard.session import COOKIE, LASTS_S
from orchestrator.api.deps import get_parts
from orchestrator.keys.key import ANONYMOUS, Role

router = APIRouter()
HOME = "/dashboard"


@router.get("/login")
async def form(request: Request, back: str = HOME) -> Response:
    """Asks for a key."""
    return _form(request, back)


@router.post("/login")
async def log_in(
    request: Request, key: Annotated[str, Form()] = "", back: Annotated[str, Form()] = HOME
) -> Response:
    """A session for whoever has a key; the key itself is not kept."""
    check_site(request)
    parts = get_parts(request)
    try:
        caller = await parts.keys.identify(key.strip())
        if caller.id == ANONYMOUS:  # where chat needs no key, any text would do
            raise AccessDenied("this is no key of this server")
    except AccessDenied as error:
        return _form(request, back, str(error), 401)
    response = RedirectResponse(_inside(back, caller.role), 303)
    response.set_cookie(
        COOKIE,
        sessions_of(request).begin(caller.id),
        max_age=LASTS_S,
        path=HOME,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout")
async def log_out(visit: Enters) -> Response:
    """Forgets the session in this browser."""
    response = Response(status_code=204, headers={"HX-Redirect": "/dashboard/login"})
    response.delete_cookie(COOKIE, path=HOME)
    return response


def _form(request: Request, back: str, problem: str = "", status: int = 200) -> Response:
    file = str(get_parts(request).settings.admin_key_file)
    values = {"back": back, "problem": problem, "file": file, "visit": None}
    return pages_of(request).response(request, "login.html", values, status)


def _inside(back: str, role: Role) -> str:
    """``back`` if it is a page of the dashboard: nobody is sent elsewhere by a link."""
    parts = urlsplit(back)
    inside = parts.path == HOME or parts.path.startswith(HOME + "/")
    if not inside or parts.scheme or parts.netloc:
        back = HOME
    if back == HOME and Right.SEE not in RIGHTS[role]:
        return f"{HOME}/playground"
    return back
