"""Every page of the dashboard with every role: who is let in, who is sent away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from coterie.db import utcnow
from orchestrator.api import create_app
from orchestrator.api.dashboard.session import COOKIE, Sessions
from orchestrator.keys.key import ApiKey, Role

SEE = frozenset({Role.VIEWER, Role.ADMIN})
SEE_RUNS = frozenset({Role.JOBS, Role.VIEWER, Role.ADMIN})
RUN = frozenset({Role.JOBS, Role.ADMIN})
CHAT = frozenset({Role.CHAT, Role.JOBS, Role.ADMIN})
MANAGE = frozenset({Role.ADMIN})
ANYONE_IN = frozenset(Role)

TABLE: dict[str, dict[str, frozenset[Role]]] = {
    "/logout": {"POST": ANYONE_IN},
    "": {"GET": SEE},
    "/_now": {"GET": SEE},
    "/experts": {"GET": SEE},
    "/experts/_new": {"GET": MANAGE, "POST": MANAGE},
    "/experts/_probe": {"POST": MANAGE},
    "/experts/_preview": {"POST": MANAGE},
    "/experts/_import": {"GET": MANAGE, "POST": MANAGE},
    "/experts/_export": {"GET": MANAGE},
    "/experts/{name}": {"GET": SEE},
    "/experts/{name}/_now": {"GET": SEE},
    "/experts/{name}/_skills": {"GET": SEE},
    "/experts/{name}/_history": {"GET": SEE},
    "/experts/{name}/_log": {"GET": MANAGE},
    "/experts/{name}/edit": {"GET": MANAGE, "POST": MANAGE},
    "/experts/{name}/try": {"POST": MANAGE},
    "/experts/{name}/{act}": {"POST": MANAGE},
    "/skills": {"GET": SEE},
    "/skills/profile": {"POST": MANAGE},
    "/skills/profiling": {"GET": SEE},
    "/skills/suggestions": {"GET": SEE},
    "/skills/merge": {"POST": MANAGE},
    "/skills/split": {"POST": MANAGE},
    "/skills/snapshots/activate": {"POST": MANAGE},
    "/skills/snapshots/remove": {"POST": MANAGE},
    "/playground": {"GET": CHAT},
    "/playground/ask": {"POST": CHAT},
    "/requests": {"GET": SEE},
    "/requests/export": {"GET": SEE},
    "/requests/skills": {"GET": SEE},
    "/requests/{id}": {"GET": SEE},
    "/requests/{id}/feedback": {"POST": CHAT},
    "/requests/{id}/feedback/remove": {"POST": CHAT},
    "/requests/{id}/what-if": {"POST": SEE},
    "/requests/{id}/delete": {"POST": MANAGE},
    "/jobs": {"GET": SEE_RUNS, "POST": RUN},
    "/jobs/new": {"GET": RUN},
    "/jobs/watch": {"GET": SEE_RUNS},
    "/jobs/compare": {"GET": SEE_RUNS},
    "/jobs/compare/page": {"GET": SEE_RUNS},
    "/jobs/compare/comparison.json": {"GET": SEE_RUNS},
    "/jobs/{id}": {"GET": SEE_RUNS},
    "/jobs/{id}/now": {"GET": SEE_RUNS},
    "/jobs/{id}/parked": {"GET": SEE_RUNS},
    "/jobs/{id}/report": {"GET": SEE_RUNS},
    "/jobs/{id}/files/{name}": {"GET": SEE_RUNS},
    "/jobs/{id}/cancel": {"POST": RUN},
    "/jobs/{id}/resume": {"POST": RUN},
    "/workers": {"GET": SEE},
    "/workers/now": {"GET": SEE},
    "/keys": {"GET": MANAGE, "POST": MANAGE},
    "/keys/{id}": {"GET": MANAGE, "POST": MANAGE},
    "/keys/{id}/revoke": {"POST": MANAGE},
    "/audit": {"GET": MANAGE},
}
"""Who may see or do what, by path under ``/dashboard`` and method."""

OPEN = {("GET", "/login"), ("POST", "/login")}
GONE = ("nobody", "revoked", "expired", "forged")


@pytest.fixture
async def desk(service: Any) -> AsyncIterator[Desk]:
    app = create_app(service.parts)
    own = app.state.dashboard_sessions
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        routes = [r for r in app.routes if isinstance(r, Route)]
        pages = [(m, r.path) for r in routes for m in sorted((r.methods or set()) - {"HEAD"})]
        yield Desk(http, own, await cookies_of(service.parts, own), pages)


class Desk:
    """The application, a cookie of each kind of visitor, and every page as (method, path)."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        sessions: Sessions,
        cookies: dict[str, str],
        endpoints: list[tuple[str, str]],
    ) -> None:
        self._http = http
        self._sessions = sessions
        self._cookies = cookies
        prefix = "/dashboard"
        self.pages = [
            (method, path.removeprefix(prefix))
            for method, path in endpoints
            if path.startswith(prefix) and (method, path.removeprefix(prefix)) not in OPEN
        ]

    async def ask(self, method: str, path: str, who: str) -> int:
        cookie = self._cookies[who]
        session = self._sessions.read(cookie)
        headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        if session:
            headers["X-CSRF-Token"] = session.csrf
        place = path
        for name in ("{id}", "{name}", "{act}"):
            place = place.replace(name, "none")
        # A body that no page takes: what is allowed must change nothing either.
        body = {"no page": "takes this"} if method == "POST" else None
        found = await self._http.request(method, f"/dashboard{place}", json=body, headers=headers)
        return found.status_code


async def cookies_of(parts: Any, sessions: Sessions) -> dict[str, str]:
    now, cookies = utcnow(), {"nobody": ""}
    for name in (*Role, "revoked", "expired"):
        role = Role(name) if name in list(Role) else Role.ADMIN
        made, _ = await parts.keys.create(ApiKey("", name, role, "", now))
        cookies[name] = sessions.begin(made.id)
        if name == "revoked":
            await parts.keys.revoke(made.id)
        elif name == "expired":
            await parts.keys.change(replace(made, expires_at=now - timedelta(seconds=1)))
    cookies["forged"] = Sessions("another server's secret").begin("admin-file")
    return cookies


async def test_each_page_lets_in_the_roles_of_the_table_and_no_other(desk: Desk) -> None:
    wrong = []
    for method, path in desk.pages:
        allowed = TABLE.get(path, {}).get(method)
        if allowed is None:
            wrong.append(f"{method} {path} stands in no table: say who may")
            continue
        for who in (*Role, *GONE):
            status = await desk.ask(method, path, who)
            expected = 303 if who in GONE else None if who in allowed else 403
            if status in (303, 401, 403) and status != expected:
                wrong.append(f"{method} {path} as {who}: {status}, not {expected or 'let in'}")
            if expected and status != expected:
                wrong.append(f"{method} {path} as {who}: {status}, not {expected}")
    assert wrong == []


async def test_the_table_has_no_page_that_is_not_there(desk: Desk) -> None:
    listed = {(method, path) for path, methods in TABLE.items() for method in methods}
    assert listed - set(desk.pages) == set()


async def test_a_page_that_is_let_in_has_no_fault_of_its_own(desk: Desk) -> None:
    found = {
        f"{method} {path}": status
        for method, path in desk.pages
        if (status := await desk.ask(method, path, Role.ADMIN)) >= 500
    }
    assert found == {}
