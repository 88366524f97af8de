"""Every endpoint takes the roles that this table says, and no other.

A new endpoint is a new line in it: one that stands nowhere fails the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Route

from coterie.db import utcnow
from orchestrator.api import create_app
from orchestrator.keys.key import ApiKey, Role

ANYBODY = frozenset({"nobody", *Role})
EVERY_ROLE = frozenset(Role)
CHATS = frozenset({Role.CHAT, Role.JOBS, Role.ADMIN})
RUNS_JOBS = frozenset({Role.JOBS, Role.ADMIN})
READS_JOBS = frozenset({Role.JOBS, Role.VIEWER, Role.ADMIN})
READS = frozenset({Role.VIEWER, Role.ADMIN})
ADMIN = frozenset({Role.ADMIN})

TABLE: dict[str, dict[str, frozenset[str]]] = {
    "/": {"GET": ANYBODY},
    "/health": {"GET": ANYBODY},
    "/health/liveliness": {"GET": ANYBODY},
    "/health/readiness": {"GET": ANYBODY},
    "/metrics": {"GET": READS},
    "/docs": {"GET": ANYBODY},
    "/docs/oauth2-redirect": {"GET": ANYBODY},
    "/openapi.json": {"GET": ANYBODY},
    "/v1/models": {"GET": EVERY_ROLE},
    "/v1/models/{id:path}": {"GET": EVERY_ROLE},
    "/v1/chat/completions": {"POST": CHATS},
    "/v1/completions": {"POST": CHATS},
    "/v1/responses": {"POST": CHATS},
    "/v1/embeddings": {"POST": CHATS},
    "/v1/routes": {"GET": READS, "POST": CHATS, "DELETE": ADMIN},
    "/v1/routes/export": {"GET": READS},
    "/v1/routes/{id}": {"GET": EVERY_ROLE, "DELETE": ADMIN},
    "/v1/routes/{id}/feedback": {"POST": CHATS, "DELETE": CHATS},
    "/v1/routes/{id}/what-if": {"POST": READS},
    "/v1/files": {"GET": EVERY_ROLE, "POST": CHATS},
    "/v1/files/{id}": {"GET": EVERY_ROLE, "DELETE": CHATS},
    "/v1/files/{id}/content": {"GET": EVERY_ROLE},
    "/v1/batches": {"GET": EVERY_ROLE, "POST": CHATS},
    "/v1/batches/{id}": {"GET": EVERY_ROLE},
    "/v1/batches/{id}/cancel": {"POST": CHATS},
    "/v1/jobs": {"GET": READS_JOBS, "POST": RUNS_JOBS},
    "/v1/jobs/{id}": {"GET": READS_JOBS},
    "/v1/jobs/{id}/cancel": {"POST": RUNS_JOBS},
    "/v1/jobs/{id}/resume": {"POST": RUNS_JOBS},
    "/v1/jobs/{id}/results": {"GET": READS_JOBS},
    "/v1/jobs/{id}/events": {"GET": READS_JOBS},
    "/admin/experts": {"GET": READS, "POST": ADMIN},
    "/admin/experts/{name}": {"GET": READS, "PUT": ADMIN, "DELETE": ADMIN},
    "/admin/experts/{name}/enable": {"POST": ADMIN},
    "/admin/experts/{name}/disable": {"POST": ADMIN},
    "/admin/experts/{name}/drain": {"POST": ADMIN},
    "/admin/experts/{name}/test": {"POST": ADMIN},
    "/admin/keys": {"GET": READS, "POST": ADMIN},
    "/admin/keys/{id}": {"GET": READS, "PATCH": ADMIN, "DELETE": ADMIN},
    "/admin/audit": {"GET": READS},
    "/admin/profiles": {"GET": READS, "POST": ADMIN},
    "/admin/snapshots": {"GET": READS, "POST": ADMIN},
    "/admin/snapshots/{name}": {"DELETE": ADMIN},
    "/admin/snapshots/{name}/activate": {"POST": ADMIN},
    "/admin/synonyms": {"GET": READS},
    "/admin/synonyms/suggestions": {"GET": READS},
    "/admin/synonyms/merge": {"POST": ADMIN},
    "/admin/synonyms/split": {"POST": ADMIN},
    "/admin/aggregation": {"GET": READS},
}
"""Who may call which endpoint, by path and method."""

KEYLESS = CHATS | {"nobody"}
"""On a loopback server that requires no key, nobody may do what a chat key may."""


@dataclass
class Gate:
    """A server, and the headers of each kind of caller."""

    http: httpx.AsyncClient
    callers: dict[str, dict[str, str]]
    endpoints: list[tuple[str, str]]

    async def ask(self, method: str, path: str, caller: str) -> int:
        # A body that no endpoint takes: what is allowed must change nothing either.
        body = {"no endpoint": "takes this"} if method in ("POST", "PUT", "PATCH") else None
        place = path.replace("{id}", "none").replace("{id:path}", "none").replace("{name}", "none")
        headers = self.callers[caller]
        return (await self.http.request(method, place, json=body, headers=headers)).status_code


def endpoints_of(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if getattr(route, "path", "").startswith("/dashboard"):
            continue  # people come with a session: see dashboard/test_rights.py
        if isinstance(route, Route):
            methods = set(route.methods or ())
            yield from ((m, route.path) for m in sorted(methods - ({"HEAD"} & methods)))
        else:
            yield "MOUNT", getattr(route, "path", repr(route))


async def make_callers(parts: Any) -> dict[str, dict[str, str]]:
    now = utcnow()
    callers: dict[str, dict[str, str]] = {"nobody": {}}
    for name in (*Role, "revoked", "expired", "unknown"):
        role = Role(name) if name in list(Role) else Role.ADMIN
        made, secret = await parts.keys.create(ApiKey("", name, role, "", now))
        callers[name] = {"Authorization": f"Bearer {secret}"}
        if name == "revoked":
            await parts.keys.revoke(made.id)
        elif name == "expired":
            await parts.keys.change(replace(made, expires_at=now - timedelta(seconds=1)))
        elif name == "unknown":
            callers[name] = {"Authorization": f"Bearer ctr_{'x' * 32}"}
    return callers


async def gate_of(service: Any) -> AsyncIterator[Gate]:
    app = create_app(service.parts)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield Gate(http, await make_callers(service.parts), list(endpoints_of(app.routes)))


@pytest.fixture
async def gate(kit: Any, tmp_path: Path, sqlite_url: str) -> AsyncIterator[Gate]:
    engines = [kit.engine("a")]
    async with kit.running(tmp_path, sqlite_url, engines, COTERIE_REQUIRE_KEY="1") as service:
        async for found in gate_of(service):
            yield found


async def test_each_endpoint_takes_the_roles_of_the_table_and_no_other(gate: Gate) -> None:
    wrong = []
    for method, path in gate.endpoints:
        allowed = TABLE.get(path, {}).get(method)
        if allowed is None:
            wrong.append(f"{method} {path} stands in no table: say who may call it")
            continue
        for caller in gate.callers:
            status = await gate.ask(method, path, caller)
            expected = _expected(caller, allowed)
            if (status in (401, 403) or expected) and status != expected:
                wrong.append(f"{method} {path} as {caller}: {status}, not {expected or 'let in'}")
    assert wrong == []


def _expected(caller: str, allowed: frozenset[str]) -> int | None:
    """The status of a refusal; None: let in, whatever comes of it."""
    if caller in allowed or "nobody" in allowed:
        return None
    return 403 if caller in list(Role) else 401


async def test_the_table_has_no_endpoint_that_is_not_there(gate: Gate) -> None:
    there = set(gate.endpoints)
    listed = {(method, path) for path, methods in TABLE.items() for method in methods}
    assert listed - there == set()


async def test_without_a_key_a_loopback_server_lets_chat_and_nothing_else(service: Any) -> None:
    async for gate in gate_of(service):
        for method, path in gate.endpoints:
            allowed = TABLE[path][method]
            status = await gate.ask(method, path, "nobody")
            assert (status != 401) == (Role.CHAT in allowed), f"{method} {path}: {status}"
            if Role.CHAT in allowed and "nobody" not in allowed:  # a key that is no good is told so
                assert await gate.ask(method, path, "revoked") == 401
