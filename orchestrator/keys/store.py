"""Keeps keys in the database; of a key's text, its hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from coterie.db import Database
from coterie.errors import UnknownKey
from coterie.outage import reaching
from coterie.types import as_jsonable
from orchestrator.keys.budget import Budget
from orchestrator.keys.key import ApiKey, Rates, Role
from orchestrator.keys.tables import ApiKeyRow


@dataclass(frozen=True, slots=True)
class Held:
    """A key and the hash it is known by."""

    key: ApiKey
    digest: str = field(repr=False)


class KeyStore:
    """The keys, one row each; none is ever deleted, as what was asked with it bears its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @reaching
    async def add(self, key: ApiKey, digest: str) -> None:
        """Keeps a new key."""
        row = {**_columns(key), "created_by": key.created_by, "created_at": key.created_at}
        async with self._database.transaction() as session:
            session.add(ApiKeyRow(id=key.id, digest=digest, version=1, **row))

    @reaching
    async def all(self) -> list[Held]:
        """Every key, the newest first; those that are revoked too."""
        query = select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id)
        async with self._database.read() as session:
            return [Held(_key(row), row.digest) for row in await session.scalars(query)]

    @reaching
    async def state(self) -> tuple[int, int]:
        """What is another value once any key has changed: how many there are, and how many changes
        there were.  A time of the last change would miss one that was begun before, and kept
        after."""
        query = select(func.count(), func.coalesce(func.sum(ApiKeyRow.version), 0))
        async with self._database.read() as session:
            count, changes = (await session.execute(query)).one()
        return count, changes

    @reaching
    async def get(self, id: str) -> ApiKey:
        """The key of that id; raises :class:`UnknownKey`."""
        async with self._database.read() as session:
            return _key(_known(await session.get(ApiKeyRow, id), id))

    @reaching
    async def replace(self, key: ApiKey) -> ApiKey:
        """Keeps what the key may do from now on; raises :class:`UnknownKey`."""
        async with self._database.transaction() as session:
            row = _known(await session.get(ApiKeyRow, key.id, with_for_update=True), key.id)
            for column, value in _columns(key).items():
                setattr(row, column, value)
            row.version += 1
            return _key(row)

    @reaching
    async def revoke(self, id: str, at: datetime) -> ApiKey:
        """Revokes a key for good, unless it was before; raises :class:`UnknownKey`."""
        async with self._database.transaction() as session:
            row = _known(await session.get(ApiKeyRow, id, with_for_update=True), id)
            if row.revoked_at is None:
                row.revoked_at, row.version = at, row.version + 1
            return _key(row)

    @reaching
    async def used(self, last: Mapping[str, datetime]) -> None:
        """Keeps when keys were used last, by id; an earlier time is not kept over a later one."""
        async with self._database.transaction() as session:
            for id, at in sorted(last.items()):
                earlier = ApiKeyRow.last_used_at.is_(None) | (ApiKeyRow.last_used_at < at)
                mine = update(ApiKeyRow).where(ApiKeyRow.id == id, earlier)
                await session.execute(mine.values(last_used_at=at))


def _known(row: ApiKeyRow | None, id: str) -> ApiKeyRow:
    if row is None:
        raise UnknownKey(f"no key {id!r}: `coterie keys list` shows those there are")
    return row


def _columns(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "role": str(key.role),
        "prefix": key.prefix,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "experts": list(key.experts),
        "strategies": list(key.strategies),
        "budget": as_jsonable(key.budget),
        "rates": as_jsonable(key.rates),
        "contents": key.contents,
    }


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        prefix=row.prefix,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        experts=_names(row.experts),
        strategies=_names(row.strategies),
        budget=Budget(**row.budget) if row.budget else None,
        rates=Rates(**row.rates),
        contents=row.contents,  # type: ignore[arg-type]
        last_used_at=row.last_used_at,
    )


def _names(kept: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in kept)
