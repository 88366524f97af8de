"""Keeps what was decided for each item of a job, and what came of it: many rows a transaction.

Everything here may be done twice: what is kept first stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, case, func, select, update

from coterie.db import Database, insert_new
from coterie.outage import reaching
from coterie.types import SkillWeight, as_jsonable
from evals.results import ItemResult
from orchestrator.jobs import record
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.tables import JobItemRow

ANNOTATED, ROUTED, DONE, PARKED = "annotated", "routed", "done", "parked"

_ITEMS: Any = JobItemRow.__table__


@dataclass(frozen=True, slots=True)
class StoredItem:
    """What was found out of one item: ``route`` is None before it is routed."""

    position: int
    item: str
    skills: tuple[SkillWeight, ...]
    vector: NDArray[np.float32] | None = None
    route: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of an item: ``answer`` is the key of the completion that is its answer.

    ``refusal`` is what a caller is told where there is none: HTTP ``status``, and ``type``,
    ``param`` and ``code`` of OpenAI's error object.
    """

    result: ItemResult
    answer: str | None = None
    refusal: Mapping[str, Any] | None = None


class ItemStore:
    """The items of all jobs; vectors of secret questions go through the ``seal``."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    @reaching
    async def add(self, job: str, items: Sequence[StoredItem], *, secret: bool) -> None:
        """Keeps new items, routed where they have a route."""
        rows = [
            {
                "job": job,
                "position": i.position,
                "item": i.item,
                "stage": ANNOTATED if i.route is None else ROUTED,
                "skills": record.skills_record(i.skills),
                "vector": self._packed(i.vector, secret),
                "route": i.route,
            }
            for i in items
        ]
        async with self._database.transaction() as session:
            await insert_new(session, JobItemRow, rows)

    async def set_routes(self, job: str, routes: Mapping[int, Mapping[str, Any]]) -> None:
        """Keeps the routes of annotated items, by position; one that has its route keeps it."""
        statement = (
            update(_ITEMS)
            .where(
                _ITEMS.c.job == job,
                _ITEMS.c.position == bindparam("at"),
                _ITEMS.c.stage == ANNOTATED,
            )
            .values(route=bindparam("route"), stage=ROUTED)
        )
        rows = [{"at": position, "route": route} for position, route in routes.items()]
        await self._execute(statement, rows)

    @reaching
    async def items(
        self, job: str, start: int, stop: int, stage: str | None = None, *, secret: bool
    ) -> list[StoredItem]:
        """The items from position ``start`` to before ``stop``, at ``stage`` where one is named."""
        c = _ITEMS.c
        query = (
            select(c.position, c.item, c.skills, c.vector, c.route)
            .where(c.job == job, c.position >= start, c.position < stop)
            .order_by(c.position)
        )
        if stage is not None:
            query = query.where(c.stage == stage)
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        return [
            StoredItem(
                row.position,
                row.item,
                record.skills_of(row.skills),
                self._unpacked(row.vector, secret),
                row.route,
            )
            for row in rows
        ]

    async def finish(self, job: str, endings: Mapping[int, Ending]) -> None:
        """Keeps what came of items, by position; the first one stays.

        Vectors go with it, unless there is no answer: another try would need them.
        """
        statement = (
            update(_ITEMS)
            .where(
                _ITEMS.c.job == job, _ITEMS.c.position == bindparam("at"), _ITEMS.c.stage == ROUTED
            )
            .values(
                stage=bindparam("stage"),
                error=bindparam("error"),
                result=bindparam("result"),
                answer=bindparam("answer"),
                refusal=bindparam("refusal"),
                vector=case((bindparam("stage") == PARKED, _ITEMS.c.vector), else_=None),
            )
        )
        rows = [
            {
                "at": position,
                "stage": DONE if e.result.error is None else PARKED,
                "error": e.result.error,
                "result": as_jsonable(e.result),
                "answer": e.answer,
                "refusal": e.refusal,
            }
            for position, e in endings.items()
        ]
        await self._execute(statement, rows)

    @reaching
    async def counts(self, job: str) -> dict[str, int]:
        """How many items are at each stage."""
        query = select(_ITEMS.c.stage, func.count()).where(_ITEMS.c.job == job)
        async with self._database.read() as session:
            rows = await session.execute(query.group_by(_ITEMS.c.stage))
            return {row[0]: row[1] for row in rows}

    @reaching
    async def pages(self, job: str, size: int, stage: str = ROUTED) -> list[int]:
        """The numbers of the pages of ``size`` positions with an item at ``stage``."""
        page = _ITEMS.c.position // size
        query = select(page).distinct().where(_ITEMS.c.job == job, _ITEMS.c.stage == stage)
        async with self._database.read() as session:
            return sorted(await session.scalars(query))

    @reaching
    async def results(
        self, job: str, after: int = -1, limit: int = 500, *, stages: Sequence[str] = (DONE, PARKED)
    ) -> dict[int, ItemResult]:
        """The results of at most ``limit`` items after position ``after``, in the task's order."""
        c = _ITEMS.c
        query = (
            select(c.position, c.result)
            .where(c.job == job, c.position > after, c.stage.in_(stages))
            .order_by(c.position)
            .limit(limit)
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        return {row.position: record.result_of(row.result) for row in rows}

    @reaching
    async def endings(self, job: str, start: int, stop: int) -> dict[int, Ending]:
        """How the items ended that are at positions from ``start`` to before ``stop``."""
        c = _ITEMS.c
        query = select(c.position, c.result, c.answer, c.refusal).where(
            c.job == job, c.position >= start, c.position < stop, c.stage.in_([DONE, PARKED])
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        return {
            row.position: Ending(record.result_of(row.result), row.answer, row.refusal)
            for row in rows
        }

    @reaching
    async def _execute(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        async with self._database.transaction() as session:
            await (await session.connection()).execute(statement, list(rows))

    def _packed(self, vector: NDArray[np.float32] | None, secret: bool) -> bytes | None:
        if vector is None:
            return None
        plain = np.asarray(vector, dtype="<f4").tobytes()
        return self._seal.close(plain) if secret else plain

    def _unpacked(self, body: bytes | None, secret: bool) -> NDArray[np.float32] | None:
        if body is None:
            return None
        plain = self._seal.open(bytes(body)) if secret else bytes(body)
        return np.frombuffer(plain, dtype="<f4")
