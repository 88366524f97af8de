"""Keeps the experts in the database; speaks domain types only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, false, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database, upsert, utcnow
from coterie.errors import DuplicateExpert, UnknownExpert
from coterie.types import (
    Capability,
    Expert,
    ExpertKind,
    ExpertSource,
    FusionSpec,
    Limits,
    Sampling,
    as_jsonable,
)
from skills.tables import ExpertRow


class ExpertStore:
    """The experts, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, enabled_only: bool = False) -> tuple[Expert, ...]:
        """Every expert, or every one that may be asked, by name."""
        query = select(ExpertRow).order_by(ExpertRow.name)
        if enabled_only:
            query = query.where(ExpertRow.enabled.is_(true()), ExpertRow.switched_off.is_(false()))
        async with self._database.read() as session:
            return tuple(_expert(row) for row in await session.scalars(query))

    async def get(self, name: str) -> Expert:
        """The expert called ``name``; raises :class:`UnknownExpert`."""
        async with self._database.read() as session:
            return _expert(await _row(session, name))

    async def add(self, expert: Expert) -> None:
        """Keeps a new expert; raises :class:`DuplicateExpert`."""
        row = ExpertRow(**_columns(expert), switched_off=False)
        try:
            async with self._database.transaction() as session:
                session.add(row)
        except IntegrityError:
            raise DuplicateExpert(
                f"an expert named {expert.name!r} is registered already; "
                "update that one, or choose another name"
            ) from None

    async def replace(self, expert: Expert) -> None:
        """Overwrites the expert of that name, a veto included; raises :class:`UnknownExpert`."""
        async with self._database.transaction() as session:
            row = await _row(session, expert.name)
            for column, value in _columns(expert).items():
                setattr(row, column, value)
            row.switched_off = False

    async def set_enabled(self, name: str, enabled: bool) -> None:
        """Lifts or lays an administrator's veto; raises :class:`UnknownExpert`."""
        async with self._database.transaction() as session:
            row = await _row(session, name)
            row.switched_off = not enabled
            row.enabled = row.enabled or enabled

    async def remove(self, name: str) -> None:
        """Forgets an expert and its answers; raises :class:`UnknownExpert`."""
        async with self._database.transaction() as session:
            row = await _row(session, name)
            await session.execute(delete(ExpertRow).where(ExpertRow.name == row.name))

    async def switched_off(self) -> frozenset[str]:
        """The names of the experts an administrator has vetoed."""
        query = select(ExpertRow.name).where(ExpertRow.switched_off.is_(true()))
        async with self._database.read() as session:
            return frozenset(await session.scalars(query))

    async def sync(self, put: Sequence[Expert], remove: Collection[str]) -> None:
        """Puts and removes in one transaction.  Vetoes stay; two services may do it at once."""
        async with self._database.transaction() as session:
            await session.execute(delete(ExpertRow).where(ExpertRow.name.in_(remove)))
            await upsert(
                session, ExpertRow, _rows(put), key=["name"], keep=["switched_off", "created_at"]
            )

    async def put(self, experts: Sequence[Expert]) -> None:
        """Adds and overwrites in one transaction, vetoes included."""
        async with self._database.transaction() as session:
            await upsert(session, ExpertRow, _rows(experts), key=["name"], keep=["created_at"])


# --- rows and domain types ----------------------------------------------------------------------


async def _row(session: AsyncSession, name: str) -> ExpertRow:
    row = await session.get(ExpertRow, name)
    if row is None:
        known = list(await session.scalars(select(ExpertRow.name).order_by(ExpertRow.name)))
        raise UnknownExpert(
            f"no expert is named {name!r}; registered are {', '.join(map(repr, known)) or 'none'}"
        )
    return row


def _rows(experts: Sequence[Expert]) -> list[dict[str, Any]]:
    now = utcnow()
    kept = {"switched_off": False, "created_at": now, "updated_at": now}
    return [{**_columns(expert), **kept} for expert in experts]


def _columns(expert: Expert) -> dict[str, Any]:
    columns: dict[str, Any] = as_jsonable(expert)
    return {**columns, "kind": expert.kind.value, "source": expert.source.value}


def _expert(row: ExpertRow) -> Expert:
    return Expert(
        name=row.name,
        kind=ExpertKind(row.kind),
        model=row.model,
        endpoint=row.endpoint,
        base=row.base,
        adapter=row.adapter,
        description=row.description,
        context_length=row.context_length,
        total_params_b=row.total_params_b,
        active_params_b=row.active_params_b,
        prompt_price=row.prompt_price,
        completion_price=row.completion_price,
        api_key_env=row.api_key_env,
        defaults=Sampling(**{**row.defaults, "stop": tuple(row.defaults["stop"])}),
        engine_args=row.engine_args,
        tags=tuple(row.tags),
        examples=tuple(row.examples),
        enabled=row.enabled and not row.switched_off,
        source=ExpertSource(row.source),
        fusion=FusionSpec.of(row.fusion) if row.fusion else None,
        recruit=row.recruit,
        endpoints=tuple(row.endpoints),
        limits=Limits(**row.limits) if row.limits else None,
        capabilities=Capability.named(row.capabilities),
    )
