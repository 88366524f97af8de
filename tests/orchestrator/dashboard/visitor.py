"""Somebody who is logged in and looks at pages, over HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx


@dataclass
class Visitor:
    """A session of whoever has ``key``."""

    http: httpx.AsyncClient
    token: str
    parts: Any

    @classmethod
    async def enter(cls, service: Any, key: str | None = None) -> Visitor:
        """Logs in; as the administrator where no key is given."""
        given = key or service.parts.access.admin_key
        landed = await service.http.post("/dashboard/login", data={"key": given})
        assert landed.status_code == 303, landed.text
        # Every page carries the token; an error does not.
        for path in ("/dashboard/jobs", "/dashboard/playground"):
            page = await service.http.get(path)
            if found := re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', page.text):
                return cls(service.http, found[1], service.parts)
        raise AssertionError(page.text)

    async def get(self, path: str, *, piece: bool = False, **query: Any) -> httpx.Response:
        """A page, or a piece of one as htmx asks for it."""
        headers = {"HX-Request": "true"} if piece else {}
        return await self.http.get(f"/dashboard{path}", params=query or None, headers=headers)

    async def post(self, path: str, fields: Any = None) -> httpx.Response:
        """A change, as htmx makes it."""
        headers = {"HX-Request": "true", "X-CSRF-Token": self.token}
        return await self.http.post(f"/dashboard{path}", data=fields or {}, headers=headers)

    async def see(self, path: str, status: int = 200, **query: Any) -> str:
        """A page's or a piece's source."""
        found = await self.get(path, **query)
        assert found.status_code == status, found.text
        return found.text

    async def do(
        self, path: str, fields: Any = None, status: int | tuple[int, ...] = (200, 204)
    ) -> httpx.Response:
        """A change that is answered as expected."""
        found = await self.post(path, fields)
        wanted = status if isinstance(status, tuple) else (status,)
        assert found.status_code in wanted, found.text
        return found


def words(page: str) -> str:
    """What is read on a page."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
