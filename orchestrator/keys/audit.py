"""The audit log: who changed what, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from coterie.db import utcnow
from orchestrator.keys.key import Caller

log = logging.getLogger(__name__)

PRUNE_EVERY_S = 3600.0

_SECRET = ("key", "token", "secret", "password", "authorization")
"""What a detail's name must not be: a value of that name is left out."""
_HARMLESS = ("api_key_env", "key_id")


@dataclass(frozen=True, slots=True)
class Change:
    """One change; ``name`` is what the caller was called then."""

    id: int
    at: datetime
    caller: str
    name: str
    action: str
    target: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeFilters:
    """Which changes: of one ``caller`` (its id, or what it was called), ``action`` (or all that
    begin with it and a dot) or ``target`` alone; from ``since`` to before ``until``."""

    caller: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY_CHANGE = ChangeFilters()


class Store(Protocol):
    """Where changes are kept."""

    async def add(
        self,
        caller: str,
        name: str,
        action: str,
        target: str,
        detail: Mapping[str, Any],
        at: datetime,
    ) -> None: ...

    async def page(
        self, limit: int, before: int | None, filters: ChangeFilters
    ) -> Sequence[Change]: ...

    async def prune(self, before: datetime) -> int: ...


class AuditLog:
    """Keeps changes for ``days``."""

    def __init__(
        self, store: Store, *, days: float = 365.0, now: Callable[[], datetime] = utcnow
    ) -> None:
        self._store = store
        self._days = days
        self._now = now

    async def note(
        self, caller: Caller, action: str, target: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Keeps that ``caller`` has done ``action`` (``expert.add``, say) to ``target``.

        The change was made already: where it cannot be kept, the server's log tells of it.
        """
        told = without_secrets(detail or {})
        try:
            await self._store.add(caller.id, caller.name, action, target, told, self._now())
        except Exception as error:
            log.error("audit: %s %s by %s is not kept: %s", action, target, caller.id, error)

    async def page(
        self,
        limit: int = 100,
        before: int | None = None,
        filters: ChangeFilters = EVERY_CHANGE,
    ) -> Sequence[Change]:
        """The newest changes that pass, newest first; of those made before the one of id
        ``before``, where given."""
        return await self._store.page(limit, before, filters)

    async def keep_pruned(self, every_s: float = PRUNE_EVERY_S) -> None:
        """Forgets for ever what is older than ``days``."""
        while True:
            try:
                await self._store.prune(self._now() - timedelta(days=self._days))
            except Exception as error:
                log.warning("the audit log is not pruned: %s", error)
            await asyncio.sleep(every_s)


def without_secrets(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The detail without values whose names say that they are secret, at any depth."""
    return {
        name: without_secrets(value) if isinstance(value, Mapping) else value
        for name, value in detail.items()
        if name in _HARMLESS or not any(mark in name.lower().split("_") for mark in _SECRET)
    }
