"""Keys that are made as a test wants them, and clocks it sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coterie.errors import StoreUnavailable
from orchestrator.access import Access
from orchestrator.keys.key import ApiKey, Role
from orchestrator.keys.ring import KeyRing
from orchestrator.keys.store import Held


@dataclass
class Times:
    """A clock that goes on when it is told to."""

    now: datetime = datetime(2026, 11, 26, 13, 45, tzinfo=UTC)
    seconds: float = 0.0

    def go(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return self.now.timestamp()

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Shelf:
    """The port of a key store, in memory; ``away``: its database is."""

    held: dict[str, Held] = field(default_factory=dict)
    version: int = 0
    away: bool = False
    reads: int = 0
    last_used: dict[str, datetime] = field(default_factory=dict)

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("the database cannot be reached: no route")

    async def add(self, key: ApiKey, digest: str) -> None:
        self._reach()
        self.held[key.id] = Held(key, digest)
        self.version += 1

    async def all(self) -> list[Held]:
        self._reach()
        self.reads += 1
        return list(self.held.values())

    async def state(self) -> tuple[int, int]:
        self._reach()
        return len(self.held), self.version

    async def replace(self, key: ApiKey) -> ApiKey:
        self._reach()
        self.held[key.id] = Held(key, self.held[key.id].digest)
        self.version += 1
        return key

    async def used(self, last: dict[str, datetime]) -> None:
        self._reach()
        self.last_used |= last


def make_key(name: str = "ada", role: Role = Role.CHAT, **fields: Any) -> ApiKey:
    made = datetime(2026, 11, 1, tzinfo=UTC)
    return ApiKey(
        **{"id": "", "name": name, "role": role, "prefix": "", "created_at": made, **fields}
    )


@dataclass
class World:
    """A ring over a shelf."""

    shelf: Shelf = field(default_factory=Shelf)
    times: Times = field(default_factory=Times)
    require_key: bool = True

    @staticmethod
    def key(*args: Any, **fields: Any) -> ApiKey:
        return make_key(*args, **fields)

    def ring(self) -> KeyRing:
        access = Access(self.require_key, chat_key="c" * 20, admin_key="a" * 20)
        return KeyRing(access, self.shelf, self.times, now=self.times)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def times() -> Times:
    return Times()
