"""Keeps completions by their content: made once, for whoever needs them.

The ``Units`` port of :mod:`orchestrator.scheduling.work`, and what a job asks of it besides.  Many
completions that come at the same time are written in one transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, select, update

from coterie.db import Database, insert_new, utcnow
from coterie.outage import reaching
from coterie.types import Completion, Failure, Sampling
from coterie.uncut import uncut
from orchestrator.jobs import record
from orchestrator.jobs.keys import is_sealed
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.tables import PromptRow, UnitRow
from orchestrator.scheduling.work import Batch, Unit

BATCH = 64
"""Units that are handed out together, at most."""
TRIES = 3
AT_ONCE = 1000
"""Keys in one query: both databases bound the number of parameters."""
WRITTEN = 256
"""Completions in one transaction, at most."""

_UNITS: Any = UnitRow.__table__
_PROMPTS: Any = PromptRow.__table__
OPEN = and_(_UNITS.c.completed_at.is_(None), _UNITS.c.parked_at.is_(None))


@dataclass(frozen=True, slots=True)
class Request:
    """A unit to be registered, and what its prompt is kept under."""

    unit: Unit
    prompt: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a unit: its completion and when that came, or why there never was one."""

    reply: Completion | Failure
    at: datetime


@dataclass(frozen=True, slots=True)
class Left:
    """How a batch stands: how many of its units are open, and what the others took, in tokens."""

    open: int
    done: int
    failed: int
    prompt_tokens: int
    completion_tokens: int


class UnitStore:
    """The units, and the prompts they share.

    A unit is parked at its ``tries``-th failure.
    """

    def __init__(self, database: Database, seal: Seal, *, tries: int = TRIES) -> None:
        self._database = database
        self._seal = seal
        self._tries = tries
        self._writing: asyncio.Task[None] | None = None
        self._waiting: dict[str, tuple[Completion, asyncio.Future[None]]] = {}

    # --- the port -------------------------------------------------------------------------------

    @reaching
    async def open(self, keys: Sequence[str]) -> Sequence[Unit]:
        """Those of ``keys`` that have no completion yet and are not parked, in that order."""
        columns = (_UNITS.c.key, _UNITS.c.expert, _UNITS.c.prompt, _UNITS.c.sampling)
        found: dict[str, Any] = {}
        prompts: dict[str, Any] = {}
        async with self._database.read() as session:
            for part in _parts(keys):
                query = select(*columns).where(_UNITS.c.key.in_(part), OPEN)
                found |= {row.key: row for row in await session.execute(query)}
            for part in _parts(list({row.prompt for row in found.values()})):
                bodies = select(_PROMPTS).where(_PROMPTS.c.key.in_(part))
                prompts |= {row.key: row.body for row in await session.execute(bodies)}
        questions = {
            key: record.question_of(self._opened(key, body)) for key, body in prompts.items()
        }
        return [
            Unit(key, row.expert, questions[row.prompt], record.sampling_of(row.sampling))
            for key in keys
            if (row := found.get(key))
        ]

    async def complete(self, key: str, completion: Completion) -> None:
        """Keeps the completion, and returns when it is kept; the first one stays."""
        if key in self._waiting:
            return await uncut(self._waiting[key][1])
        kept = asyncio.get_running_loop().create_future()
        self._waiting[key] = completion, kept
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="write-completions")
        return await uncut(kept)

    @reaching
    async def fail(self, key: str, failure: Failure, *, final: bool = False) -> bool:
        """Counts a failed try; true if that was the last one and the unit is now parked."""
        told = self._closed(key, failure.error.encode()).decode()
        now = utcnow()
        last = now if final else case((_UNITS.c.tries + 1 >= self._tries, now), else_=None)
        statement = (
            update(_UNITS)
            .where(_UNITS.c.key == key, OPEN)
            .values(
                tries=_UNITS.c.tries + 1,
                error=told,
                failed_as=record.failure_record(failure, sealed=is_sealed(key)),
                parked_at=last,
            )
            .returning(_UNITS.c.parked_at)
        )
        async with self._database.transaction() as session:
            parked = (await session.execute(statement)).first()
        return parked is not None and parked[0] is not None

    # --- what a job asks besides ----------------------------------------------------------------

    @reaching
    async def register(
        self, requests: Sequence[Request], retry_before: datetime
    ) -> dict[str, tuple[str, str]]:
        """Makes units of ``requests`` that are not there yet; returns which batches still have
        open ones among them: (expert, batch) by key.

        One that was parked before ``retry_before`` is open again.
        """
        rows = _unit_rows(requests)
        prompts = {r.prompt: r.unit.question for r in requests}
        bodies = [
            {"key": key, "body": self._closed(key, record.question_bytes(prompts[key]))}
            for key in sorted(prompts)
        ]
        found: dict[str, tuple[str, str]] = {}
        async with self._database.transaction() as session:
            await insert_new(session, PromptRow, bodies)
            await insert_new(session, UnitRow, rows)
            for part in _parts([row["key"] for row in rows]):
                again = update(_UNITS).where(
                    _UNITS.c.key.in_(part),
                    _UNITS.c.completed_at.is_(None),
                    _UNITS.c.parked_at < retry_before,
                )
                fresh = {"tries": 0, "error": None, "failed_as": None, "parked_at": None}
                await session.execute(again.values(**fresh))
                query = select(_UNITS.c.key, _UNITS.c.expert, _UNITS.c.batch)
                query = query.where(_UNITS.c.key.in_(part), OPEN)
                rows_found = await session.execute(query)
                found |= {row.key: (row.expert, row.batch) for row in rows_found}
        return found

    @reaching
    async def replies(self, keys: Sequence[str], retry_before: datetime) -> dict[str, Kept]:
        """What is kept of those of ``keys`` that are not open; what was parked before
        ``retry_before`` counts as open."""
        c = _UNITS.c
        columns = (c.key, c.expert, c.completed_at, c.parked_at, c.error, c.failed_as, c.body)
        found = {}
        async with self._database.read() as session:
            for part in _parts(keys):
                query = select(*columns).where(c.key.in_(part))
                for row in await session.execute(query):
                    parked = row.parked_at is not None and row.parked_at >= retry_before
                    if row.completed_at is not None or parked:
                        found[row.key] = row
        return {key: self._kept(row) for key, row in found.items()}

    @reaching
    async def batches(self, ids: Sequence[str]) -> list[Batch]:
        """The batches called ``ids``, whole: those of their units that are done too."""
        keys: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        async with self._database.read() as session:
            for part in _parts(ids):
                query = select(_UNITS.c.batch, _UNITS.c.expert, _UNITS.c.key)
                for row in await session.execute(query.where(_UNITS.c.batch.in_(part))):
                    keys[row.batch, row.expert].append(row.key)
        return [Batch(id, expert, tuple(sorted(keys_))) for (id, expert), keys_ in keys.items()]

    @reaching
    async def left(self, ids: Sequence[str]) -> Mapping[str, Left]:
        """How each of the batches ``ids`` stands."""
        c = _UNITS.c
        query = select(
            c.batch,
            func.sum(case((OPEN, 1), else_=0)),
            func.count(c.completed_at),
            func.count(c.parked_at),
            func.sum(c.prompt_tokens),
            func.sum(c.completion_tokens),
        ).group_by(c.batch)
        found: dict[str, Left] = {}
        async with self._database.read() as session:
            for part in _parts(ids):
                for row in await session.execute(query.where(c.batch.in_(part))):
                    found[row[0]] = Left(*row[1:])
        return found

    @reaching
    async def withdraw(self, ids: Sequence[str]) -> None:
        """Forgets the open units of the batches ``ids``: nobody is to begin them any more."""
        async with self._database.transaction() as session:
            for part in _parts(ids):
                gone = delete(_UNITS).where(_UNITS.c.batch.in_(part), OPEN)
                await session.execute(gone)

    @reaching
    async def give_up(self, ids: Sequence[str], failure: Failure) -> None:
        """Parks the open units of the batches ``ids``: their expert is never to answer them."""
        values = {
            # Nothing of the question is in it, so that it need not be sealed where that is.
            "error": failure.error,
            "failed_as": record.failure_record(failure, sealed=False),
            "parked_at": utcnow(),
        }
        async with self._database.transaction() as session:
            for part in _parts(ids):
                open_ones = update(_UNITS).where(_UNITS.c.batch.in_(part), OPEN)
                await session.execute(open_ones.values(**values))

    # --- writing --------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Writes what waits, as much at a time as has come meanwhile."""
        while self._waiting:
            keys = list(self._waiting)[:WRITTEN]
            part = {key: self._waiting[key] for key in keys}
            error: Exception | None = None
            try:
                await self._save({key: completion for key, (completion, _) in part.items()})
            except Exception as caught:
                error = caught
            for key, (_, kept) in part.items():
                del self._waiting[key]
                if kept.done():
                    continue
                if error is None:
                    kept.set_result(None)
                else:
                    kept.set_exception(error)
                    kept.exception()  # whoever waited may be gone: nobody need be told then

    @reaching
    async def _save(self, completions: Mapping[str, Completion]) -> None:
        now = utcnow()
        rows = [
            {
                "of": key,
                "body": self._closed(key, record.completion_bytes(c)),
                "prompt_tokens": c.usage.prompt_tokens,
                "completion_tokens": c.usage.completion_tokens,
                "completed_at": now,
            }
            for key, c in sorted(completions.items())
        ]
        # A completion that comes after the unit was parked is welcome all the same.
        statement = (
            update(_UNITS)
            .where(_UNITS.c.key == bindparam("of"), _UNITS.c.completed_at.is_(None))
            .values(
                body=bindparam("body"),
                prompt_tokens=bindparam("prompt_tokens"),
                completion_tokens=bindparam("completion_tokens"),
                completed_at=bindparam("completed_at"),
                parked_at=None,
                error=None,
                failed_as=None,
            )
        )
        async with self._database.transaction() as session:
            connection = await session.connection()
            await connection.execute(statement, rows)

    def _kept(self, row: Any) -> Kept:
        if row.completed_at is not None:
            body = record.completion_of(self._opened(row.key, row.body))
            return Kept(body, row.completed_at)
        error = row.error or ""
        if is_sealed(row.key):
            error = f"expert {row.expert!r}: it failed; its message is sealed, as the question is"
        return Kept(record.failure_of(row.expert, error, row.failed_as), row.parked_at)

    def _closed(self, key: str, plain: bytes) -> bytes:
        return self._seal.close(plain) if is_sealed(key) else plain

    def _opened(self, key: str, body: bytes) -> bytes:
        return self._seal.open(bytes(body)) if is_sealed(key) else bytes(body)


def _unit_rows(requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Rows by key, each in a batch with others of its expert."""
    now, rows = utcnow(), list[dict[str, Any]]()
    samplings = {id(s): record.sampling_record(s) for s in _samplings(requests)}  # few, shared
    for _, wanted in sorted(_by_expert(requests).items()):
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            batch = batch_id([r.unit.key for r in part])
            rows += [_unit_row(r, samplings[id(r.unit.sampling)], batch, now) for r in part]
    return sorted(rows, key=lambda row: str(row["key"]))  # or two writers might wait for each other


def _samplings(requests: Sequence[Request]) -> Iterable[Sampling]:
    return {id(r.unit.sampling): r.unit.sampling for r in requests}.values()


def _by_expert(requests: Sequence[Request]) -> Mapping[str, list[Request]]:
    found: defaultdict[str, dict[str, Request]] = defaultdict(dict)
    for request in requests:
        found[request.unit.expert][request.unit.key] = request
    return {expert: list(by_key.values()) for expert, by_key in found.items()}


def _unit_row(
    request: Request, sampling: Mapping[str, Any], batch: str, now: datetime
) -> dict[str, Any]:
    return {
        "key": request.unit.key,
        "expert": request.unit.expert,
        "prompt": request.prompt,
        "sampling": sampling,
        "batch": batch,
        "tries": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "created_at": now,
    }


def batch_id(keys: Sequence[str]) -> str:
    """The name of a batch of these keys."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:32]


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), AT_ONCE):
        yield keys[start : start + AT_ONCE]
