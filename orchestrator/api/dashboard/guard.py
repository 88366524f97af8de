"""What stands before every page: a session, a role that may, and a change that is meant.

::

    no session ──> login          role too small ──> 403          a change from elsewhere ──> 403
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from coterie.errors import AccessDenied, Forbidden, RoleDenied
from orchestrator.api.dashboard.rendering import Pages
from orchestrator.api.dashboard.session import COOKIE, Session, Sessions, same_token
from orchestrator.api.deps import get_parts
from orchestrator.keys.key import Caller, Role
from orchestrator.parts import Parts

CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
OURS = frozenset({None, "same-origin", "none"})
"""What ``Sec-Fetch-Site`` says of a request from a page of this server, or typed in."""
LOGIN = "/dashboard/login"


class Right(StrEnum):
    """What a page is for."""

    SEE = "see what is measured, asked and kept"
    CHAT = "chat"
    RUN = "run evaluations"
    MANAGE = "change experts, profiles and keys"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.CHAT: frozenset({Right.CHAT}),
    Role.JOBS: frozenset({Right.CHAT, Right.RUN}),
    Role.VIEWER: frozenset({Right.SEE}),
    Role.ADMIN: frozenset(Right),
}


class LoginNeeded(Exception):
    """Nobody is logged in; ``back`` is where they wanted to go."""

    def __init__(self, back: str) -> None:
        super().__init__(back)
        self.back = back

    @property
    def address(self) -> str:
        return f"{LOGIN}?{urlencode({'back': self.back})}"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is logged in."""

    request: Request
    parts: Parts
    caller: Caller
    session: Session

    def may(self, right: Right) -> bool:
        """Whether their role allows it; what they may not is not offered on pages either."""
        return right in RIGHTS[self.caller.role]

    def may_any(self, rights: Sequence[str]) -> bool:
        """Whether they have one of the rights with these names."""
        return any(self.may(Right[name]) for name in rights)

    async def note(self, action: str, target: str, **detail: Any) -> None:
        """Writes into the audit log what was changed; after every change."""
        await self.parts.audit.note(self.caller, action, target, detail)

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A whole page, or a piece of one, with ``visit`` in it."""
        return pages_of(self.request).response(
            self.request, template, {**values, "visit": self}, status
        )

    def piece(self, template: str, **values: Any) -> str:
        """A piece of a page as text, for what is sent as part of something else."""
        return pages_of(self.request).text(self.request, template, {**values, "visit": self})


async def visit(request: Request) -> Visit:
    """Who this is; raises :class:`LoginNeeded`, and :class:`Forbidden` for a foreign change."""
    parts, session = get_parts(request), sessions_of(request).read(request.cookies.get(COOKIE))
    if session is None:
        raise LoginNeeded(_back(request))
    try:
        caller = await parts.keys.caller(session.caller)
    except AccessDenied:  # revoked or expired since
        raise LoginNeeded(_back(request)) from None
    if request.method in CHANGES:
        await _check_meant(request, session)
    return Visit(request, parts, caller, session)


async def _check_meant(request: Request, session: Session) -> None:
    check_site(request)
    given = request.headers.get("x-csrf-token")
    if given is None:
        given = str((await request.form()).get("csrf", ""))
    if not same_token(given, session):
        raise Forbidden(
            "this change carries no valid token: the page is from an earlier login; load it again "
            "and repeat what you did"
        )


def check_site(request: Request) -> None:
    """Refuses what another site made a browser send."""
    if request.headers.get("sec-fetch-site") not in OURS:
        raise Forbidden("this request was made by a page of another site: do it from the dashboard")


def _back(request: Request) -> str:
    """Where a login leads to: the page, for a piece of one the page it is on."""
    if request.method == "GET" and "hx-request" not in request.headers:
        query = f"?{request.url.query}" if request.url.query else ""
        return request.url.path + query
    return "/dashboard"


def needs(*rights: Right) -> Any:
    """A dependency: the visit of somebody whose role has one of ``rights``."""

    async def check(found: Annotated[Visit, Depends(visit)]) -> Visit:
        if not any(map(found.may, rights)):
            raise RoleDenied(
                f"{found.caller.name!r} has the role {found.caller.role.value}, which may not "
                f"{' or '.join(rights)}: log in with a key that may"
            )
        return found

    return Depends(check)


Sees = Annotated[Visit, needs(Right.SEE)]
Chats = Annotated[Visit, needs(Right.CHAT)]
Runs = Annotated[Visit, needs(Right.RUN)]
SeesRuns = Annotated[Visit, needs(Right.SEE, Right.RUN)]
Manages = Annotated[Visit, needs(Right.MANAGE)]
Enters = Annotated[Visit, Depends(visit)]


def sessions_of(request: Request) -> Sessions:
    return request.app.state.dashboard_sessions  # type: ignore[no-any-return]


def pages_of(request: Request) -> Pages:
    return request.app.state.dashboard_pages  # type: ignore[no-any-return]
