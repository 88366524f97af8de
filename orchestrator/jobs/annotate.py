"""The first two stages: which skills each item needs, and who is asked.

Both are kept before anyone is asked, a page at a time; what is kept is never decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.errors import JobError
from coterie.types import Item, Question
from orchestrator.instructions import instruction_vectors
from orchestrator.jobs import record
from orchestrator.jobs.ground import Ground
from orchestrator.jobs.item_store import ANNOTATED, StoredItem
from orchestrator.jobs.job import Job
from orchestrator.jobs.own_item import OwnItem
from orchestrator.jobs.terms import Terms, about, asking
from orchestrator.routing import Query, direct, load_router
from orchestrator.scheduling.patience import Patience
from skills.infer import Inferred
from skills.question_reader import BATCH, BatchInference

Vector = NDArray[np.float32]

Told = Callable[[int, int], None]
"""Told how many items are annotated, and how many are routed."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """Annotates and routes the ``items`` of a job that are not yet; ``page`` items a transaction.

    ``check`` is awaited between two pages, and may raise.
    """

    ground: Ground
    job: Job
    terms: Terms
    items: Sequence[Item]
    page: int
    patiently: Patience
    check: Callable[[], None]
    tell: Told

    async def run(self) -> None:
        """Returns when every item has its route."""
        counts = await self.patiently(lambda: self.ground.items.counts(self.job.id))
        start, left = sum(counts.values()), counts.get(ANNOTATED, 0)
        whole = self._plans_whole()
        routed = start - left
        self.tell(start, routed)
        for at in range(start, len(self.items), self.page):
            self.check()
            items = await asyncio.to_thread(self._items, at)
            stored = await self._annotated(at, items)
            if not whole:
                instructions = await self._instructions(items)
                stored = await asyncio.to_thread(self._routed, items, stored, instructions)
                routed += len(stored)
            await self._keep(stored)
            self.tell(at + len(stored), routed)
        if whole and routed < len(self.items):
            await self._plan()

    def _plans_whole(self) -> bool:
        if self.terms.spec.expert or (self.items and isinstance(self.items[0], OwnItem)):
            return False
        return load_router(self.terms.spec.strategy).plans_whole(self.terms.pool)

    async def _annotated(self, start: int, items: Sequence[Item]) -> list[StoredItem]:
        found = [Inferred(())] * len(items)
        routed = [i for i, item in enumerate(items) if not self.terms.manner(item).expert]
        inferred = await self._infer([Question.of(about(items[i])) for i in routed])
        for i, one in zip(routed, inferred, strict=True):
            found[i] = one
        return [
            StoredItem(start + i, item.id, inferred.skills, inferred.vector)
            for i, (item, inferred) in enumerate(zip(items, found, strict=True))
        ]

    async def _infer(self, questions: Sequence[Question]) -> list[Inferred]:
        inference, found = self.ground.inference, list[Inferred]()
        for at in range(0, len(questions), BATCH):  # a live question waits no longer than for these
            part = questions[at : at + BATCH]
            if isinstance(inference, BatchInference):
                found += await inference.infer_many(part)
            else:
                found += await asyncio.gather(*map(inference.infer, part))
        return found

    async def _instructions(self, items: Sequence[Item]) -> list[Vector | None]:
        """What each asks for, for the strategy that compares it."""
        found: list[Vector | None] = []
        for at in range(0, len(items), BATCH):
            part = [(asking(i), self.terms.strategy(i)) for i in items[at : at + BATCH]]
            found += await instruction_vectors(part, self.ground.embed)
        return found

    def _items(self, at: int) -> Sequence[Item]:
        """The page of items that begins there.  Blocks where they are in a file."""
        return self.items[at : at + self.page]

    def _query(self, stored: StoredItem, item: Item | None = None) -> Query:
        item = item or self.items[stored.position]
        return self.terms.query(item, stored.skills, stored.vector)

    def _routed(
        self,
        items: Sequence[Item],
        stored: Sequence[StoredItem],
        instructions: Sequence[Vector | None],
    ) -> list[StoredItem]:
        """The same with their routes.  Blocks."""
        queries = [
            replace(self._query(s, item), instruction=instruction)
            for s, item, instruction in zip(stored, items, instructions, strict=True)
        ]
        if items and isinstance(items[0], OwnItem):
            routes = [self._own(item, query) for item, query in zip(items, queries, strict=True)]
        else:
            routes = self._routes(queries)
        return [
            StoredItem(s.position, s.item, s.skills, s.vector, route)
            for s, route in zip(stored, routes, strict=True)
        ]

    def _own(self, item: Item, query: Query) -> dict[str, Any]:
        terms, manner = self.terms, self.terms.manner(item)
        if manner.expert is None:
            router = load_router(manner.strategy)
            pool, policy = terms.pool_for(item), terms.policy_for(item)
            return record.route_record(router.route(query, pool, policy))
        if manner.expert not in terms.pool.names:
            raise JobError(
                f"expert {manner.expert!r}, which {item.id!r} asks for, was disabled or removed "
                "before the job began: bring it back and start another job"
            )
        return record.route_record(direct(manner.expert))

    def _routes(self, queries: Sequence[Query]) -> list[dict[str, Any]]:
        terms = self.terms
        if terms.spec.expert:
            return [record.route_record(direct(terms.spec.expert))] * len(queries)
        router = load_router(terms.spec.strategy)
        return [record.route_record(r) for r in router.plan(queries, terms.pool, terms.policy)]

    async def _keep(self, stored: Sequence[StoredItem]) -> None:
        await self.patiently(
            lambda: self.ground.items.add(self.job.id, stored, secret=self.terms.secret)
        )

    async def _plan(self) -> None:
        """Routes all items at once, for a strategy that looks at the batch as one.

        All queries are in memory meanwhile.  A plan that was cut short is made again, and is the
        same: routes that are kept stay.
        """
        queries: list[Query] = []
        for at in range(0, len(self.items), self.page):
            queries += [self._query(s) for s in await self._stored(at)]
        routes = await asyncio.to_thread(self._routes, queries)
        for at in range(0, len(self.items), self.page):
            self.check()
            part: Mapping[int, Any] = dict(enumerate(routes[at : at + self.page], start=at))
            await self._set(part)
            self.tell(len(self.items), at + len(part))

    async def _stored(self, at: int) -> list[StoredItem]:
        items, job, secret = self.ground.items, self.job.id, self.terms.secret
        return await self.patiently(lambda: items.items(job, at, at + self.page, secret=secret))

    async def _set(self, routes: Mapping[int, Any]) -> None:
        await self.patiently(lambda: self.ground.items.set_routes(self.job.id, routes))
