"""The engines of a service that has not room for all of them: up when they are asked.

    Fleet(...)                 every managed engine is up, always
    EnginesAtNeed(...)         at most so many at a time; requests wait in the lobby for the others

Experts at somebody else's endpoint are asked without waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

from coterie.errors import EngineError, EngineUnavailable
from coterie.ports import Engine
from coterie.types import Chunk, Completion, Expert, Health, Question, Sampling
from orchestrator.engines.balanced import BalancedEngine
from orchestrator.engines.residency import NodeResidency
from orchestrator.scheduling.lobby import Lobby
from orchestrator.scheduling.residency import Tier

AT_ONCE = 32
"""Requests of one expert that go on at a time, where nobody waits for the answers."""
NONE_HERE = (
    "this process starts no engines (COTERIE_ENGINE_SLOTS is 0): workers serve jobs, and a chat "
    "can only ask experts at endpoints; give it slots, or register the engine's endpoint"
)


class EnginesAtNeed:
    """Hands out engines that wait in ``lobby`` until ``residency`` has theirs up.

    Somebody must move the engines and let requests in: :class:`orchestrator.workers.worker.Worker`.
    Without room for a single one (``residency.slots`` is 0) managed experts cannot be asked.
    """

    def __init__(self, residency: NodeResidency, lobby: Lobby) -> None:
        self._fleet = residency.fleet
        self._residency = residency
        self._lobby = lobby
        self._narrow: dict[str, asyncio.Semaphore] = {}

    async def sync(self, experts: Sequence[Expert]) -> None:
        """Makes these the experts that can be asked; see :meth:`NodeResidency.sync`."""
        await self._residency.sync(experts)

    def engine(self, name: str) -> Engine:
        """The expert, for somebody who waits for the answer.

        Raises:
            EngineUnavailable: it is not in the fleet, wrongly configured, or its engine is given
                up for now.
        """
        return self._seated(name, None)

    def patient(self, name: str) -> Engine:
        """The expert, for work that can wait until its engine's turn comes: all of it is done then,
        some at a time.  Raises like :meth:`engine`."""
        narrow = self._narrow.setdefault(name, asyncio.Semaphore(AT_ONCE))
        return self._seated(name, narrow)

    def _seated(self, name: str, narrow: asyncio.Semaphore | None) -> Engine:
        if self._residency.host(name) not in self._fleet.processes:
            return self._fleet.engine(name)
        if self._residency.slots == 0:
            raise EngineUnavailable(name, NONE_HERE)
        if error := self._lobby.closed.get(name):
            raise EngineUnavailable(name, f"its engine does not start: {error}")
        return SeatedEngine(name, self._residency, self._lobby, narrow)

    async def health(self) -> Mapping[str, Health]:
        """Each expert's health; one whose engine is down can be asked if it can be brought up."""
        found = await self._fleet.health()
        return {name: health if health.ok else self._now(name) for name, health in found.items()}

    def _now(self, name: str) -> Health:
        try:
            self.engine(name)
            tier = self._residency.tiers().get(self._residency.host(name), Tier.STOPPED)
        except EngineError as error:
            return Health(False, str(error))
        return Health(True, f"{tier.name.lower()}; comes up when it is asked")

    async def probe(self, expert: Expert) -> Health:
        """Whether an expert that is not registered yet could be asked."""
        return await self._fleet.probe(expert)

    @property
    def engines(self) -> Mapping[str, BalancedEngine]:
        """See :attr:`Fleet.engines`."""
        return self._fleet.engines

    def describe(self) -> Sequence[object]:
        """The managed engines, by name."""
        return self._fleet.describe()


class SeatedEngine:
    """The Engine port over an engine that may have to be brought up first.

    ``narrow`` bounds how many go on at a time; None: somebody waits for each answer.
    """

    def __init__(
        self,
        expert: str,
        residency: NodeResidency,
        lobby: Lobby,
        narrow: asyncio.Semaphore | None = None,
    ) -> None:
        self._expert = expert
        self._residency = residency
        self._lobby = lobby
        self._narrow = narrow

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        async with self._seat() as engine:
            return await engine.complete(question, sampling)

    async def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        async with self._seat() as engine, aclosing(engine.stream(question, sampling)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def count_tokens(self, question: Question) -> int:
        """Raises EngineUnavailable unless its engine is up: no model is loaded only to count."""
        return await self._residency.engine(self._expert).count_tokens(question)

    async def health(self) -> Health:
        """Whether it can be asked, though it may have to come up first."""
        try:
            return await self._residency.engine(self._expert).health()
        except EngineUnavailable:
            return Health(True, "comes up when it is asked")

    @asynccontextmanager
    async def _seat(self) -> AsyncGenerator[Engine, None]:
        async with self._lobby.seat(self._expert, online=self._narrow is None):
            if self._narrow is None:
                yield self._residency.engine(self._expert)
                return
            async with self._narrow:
                yield self._residency.engine(self._expert)
