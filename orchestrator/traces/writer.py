"""Writes why-records behind the requests' backs.

A request hands its record over and goes on; one task writes them in batches::

    save ──> waiting (bounded, oldest dropped) ──> task ──> store

While the database is down, records wait; when more wait than fit, the oldest are dropped and
counted.  A record the database refuses for itself is dropped alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Protocol, Self

from sqlalchemy.exc import DataError, IntegrityError, StatementError

from coterie.db import utcnow
from orchestrator.observability import catalogue
from orchestrator.observability.metrics import Metrics
from orchestrator.traces.facts import Record
from orchestrator.traces.loss import Loss

log = logging.getLogger(__name__)

PRUNED_EVERY = 1_000
"""Records written between two prunings, at most: few are removed at a time."""

_AT_FAULT = (DataError, IntegrityError, ValueError, TypeError, LookupError)
"""What a store raises for a record it can never keep; anything else may pass."""


class Store(Protocol):
    """Where the records go."""

    async def save(self, records: list[Record]) -> None: ...

    async def get(self, id: str) -> Record | None: ...

    async def recent(self, limit: int) -> list[Record]: ...

    async def prune(self, keep: int) -> int: ...

    async def remove(self, ids: Collection[str]) -> int: ...


class TraceWriter:
    """Takes records without waiting; an async context manager that writes the rest at exit.

    ``complete`` is given each record first, at once: what it leaves out is nowhere written.  At
    most ``capacity`` records wait, ``batch`` are written at a time, after ``linger_s`` at most, and
    the store is pruned to ``keep`` about every tenth of that, or every ``PRUNED_EVERY``.
    ``retry_s`` is the pause while the database is down, ``grace_s`` bounds the last write;
    ``metrics`` are what written and lost records are counted in.
    """

    def __init__(
        self,
        store: Store,
        *,
        complete: Callable[[Record], Record] = lambda record: record,
        keep: int = 10_000,
        capacity: int = 1_000,
        batch: int = 100,
        linger_s: float = 0.1,
        retry_s: float = 1.0,
        grace_s: float = 5.0,
        metrics: Metrics | None = None,
    ) -> None:
        self._store = store
        self._complete = complete
        self._keep = keep
        self._capacity = capacity
        self._batch = batch
        self._linger_s = linger_s
        self._retry_s = retry_s
        self._grace_s = grace_s
        self._metrics = metrics or Metrics()
        for loss in Loss:  # so that each is there, at 0, before the first
            self._metrics.count(catalogue.RECORDS_LOST, loss.value, by=0)
        self._waiting: dict[str, Record] = {}  # by id, oldest first
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._saving = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._unpruned = 0
        self.dropped = 0
        """How many records were lost so far."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def save(self, record: Record) -> None:
        """Keeps ``record`` (JSON, with an ``id``) soon.  Never waits, never raises."""
        if self._closing.is_set():
            self._drop(1, Loss.STOPPING, "the service is stopping")
            return
        id = str(record.get("id", ""))
        try:
            whole = self._complete(record)
        except Exception as error:
            self._drop(1, Loss.REFUSED, f"{id!r} cannot be completed: {error!r}")
            return
        self._waiting.pop(id, None)
        self._waiting[id] = {"created_at": utcnow().isoformat(), **whole}
        if len(self._waiting) > self._capacity:
            del self._waiting[next(iter(self._waiting))]
            self._drop(1, Loss.FLOOD, "they come faster than the database takes them")
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name="trace-writer")
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many records are not written yet."""
        return len(self._waiting)

    async def get(self, id: str) -> Record | None:
        """The record called ``id``, written or not."""
        return self._waiting.get(id) or await self._store.get(id)

    async def recent(self, limit: int) -> list[Record]:
        """The last ``limit`` records, written or not, newest first."""
        waiting = dict(self._waiting)
        written = [r for r in await self._store.recent(limit) if r["id"] not in waiting]
        return [*reversed(waiting.values()), *written][:limit]

    def waiting_of(self, key: str) -> list[str]:
        """The ids of records of the API key of id ``key`` that are not written yet."""
        return [id for id, record in self._waiting.items() if record.get("key") == key]

    async def remove(self, ids: Collection[str]) -> int:
        """Forgets the records called so, written or not; returns how many there were."""
        async with self._saving:  # what is being written now could not be removed yet
            waiting = sum(self._waiting.pop(id, None) is not None for id in ids)
            return waiting + await self._store.remove(ids)

    async def aclose(self) -> None:
        """Writes what waits, for ``grace_s`` at most; later records are dropped."""
        self._closing.set()
        self._wake.set()
        if self._task:
            await asyncio.wait([self._task], timeout=self._grace_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._waiting:
            left = len(self._waiting)
            self._drop(left, Loss.STOPPING, "the database did not take them in time")
            self._waiting.clear()

    async def _write(self) -> None:
        while self._waiting or not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._linger()
                async with self._saving:
                    await self._write_batch()

    async def _linger(self) -> None:
        """Lets a batch gather: a transaction for each record would cost as much as its request."""
        if len(self._waiting) < self._batch:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._linger_s)

    async def _write_batch(self) -> None:
        batch = dict(itertools.islice(self._waiting.items(), self._batch))
        try:
            await self._store.save(list(batch.values()))
            self._metrics.count(catalogue.RECORDS_WRITTEN, by=len(batch))
            self._forget(batch)
            await self._prune(len(batch))
        except Exception as error:
            if _is_at_fault(error):
                await self._write_singly(batch)
            else:
                log.warning("%d why-records wait for the database: %r", len(self._waiting), error)
                await self._pause()

    async def _write_singly(self, batch: dict[str, Record]) -> None:
        """Finds the record that spoils its batch."""
        for id, record in batch.items():
            try:
                await self._store.save([record])
            except Exception as error:
                if not _is_at_fault(error):
                    return  # the next batch finds out
                self._drop(1, Loss.REFUSED, f"the database refuses {id!r}: {error!r}")
            else:
                self._metrics.count(catalogue.RECORDS_WRITTEN)
            self._forget({id: record})

    async def _prune(self, written: int) -> None:
        self._unpruned += written
        if self._unpruned > min(self._keep // 10, PRUNED_EVERY):
            self._unpruned = 0
            await self._store.prune(self._keep)

    async def _pause(self) -> None:
        """Waits out ``retry_s``; while closing, just long enough not to spin."""
        if self._closing.is_set():
            await asyncio.sleep(min(self._retry_s, 0.05))
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._retry_s)

    def _forget(self, batch: dict[str, Record]) -> None:
        for id, record in batch.items():
            if self._waiting.get(id) is record:  # unless a newer one of that id came meanwhile
                del self._waiting[id]

    def _drop(self, count: int, loss: Loss, why: str) -> None:
        self._metrics.count(catalogue.RECORDS_LOST, loss.value, by=count)
        told = self.dropped // 100
        first = self.dropped == 0
        self.dropped += count
        if first or self.dropped // 100 > told:  # one line in a hundred: a flood must not flood us
            log.warning("%d why-record(s) lost so far: %s", self.dropped, why)


def _is_at_fault(error: Exception) -> bool:
    # SQLAlchemy wraps what it meets while it prepares the parameters.
    cause = error.orig if type(error) is StatementError else error
    return isinstance(cause, _AT_FAULT)
