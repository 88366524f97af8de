"""The keys this server knows."""

from __future__ import annotations

from dataclasses import dataclass

from coterie.errors import AccessDenied
from orchestrator.access import Access
from orchestrator.keys.key import Caller, Role

FILES = {"admin-file": Role.ADMIN, "chat-file": Role.CHAT}


@dataclass(frozen=True, slots=True)
class KeyRing:
    access: Access

    async def identify(self, token: str | None) -> Caller:
        self.access.check_admin(f"Bearer {token}")
        return await self.caller("admin-file")

    async def caller(self, id: str) -> Caller:
        if id not in FILES:
            raise AccessDenied(f"no key {id!r}")
        return Caller(id, id, FILES[id])
