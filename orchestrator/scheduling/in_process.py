"""The work queue of one process: no server, and gone with it, as a queue may be.

All methods do their work before they first await, so one event loop needs no lock.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from coterie.ports import Clock
from orchestrator.scheduling.work import Batch, Claim, Depth, WorkerState

TTL_S = 30.0
"""How long a worker that says nothing counts as alive."""


@dataclass(slots=True)
class _Entry:
    """A published batch; ``owner`` claimed it last, None: nobody, or it was given back."""

    batch: Batch
    number: int
    owner: str | None = None
    deliveries: int = 0


class InProcessQueue:
    """The :class:`~orchestrator.scheduling.work.WorkQueue` of the workers of one event loop."""

    def __init__(self, clock: Clock, *, ttl_s: float = TTL_S) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._entries: defaultdict[str, dict[str, _Entry]] = defaultdict(dict)
        self._holders: dict[str, str] = {}
        self._beats: dict[str, tuple[float, WorkerState]] = {}
        self._turns: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._published = self._turn = 0
        self._rung = self._heard = 0
        self._bell = asyncio.Event()

    async def publish(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            queue = self._entries[batch.expert]
            if batch.id not in queue:
                self._published += 1
                self._turns[batch.expert].setdefault(batch.lane, self._turn)
                queue[batch.id] = _Entry(batch, self._published)
        self._ring()

    async def claim(self, worker: str, expert: str) -> Claim | None:
        self._sign_of_life(worker)
        entry = self._next(expert)
        if entry is None:
            return None
        entry.owner = worker
        entry.deliveries += 1
        return Claim(entry.batch, f"{worker}|{entry.number}", entry.deliveries)

    def _next(self, expert: str) -> _Entry | None:
        """What is claimed next; in the order of publishing: a dictionary keeps it."""
        turns, first = self._turns[expert], dict[str, _Entry]()
        for entry in self._entries[expert].values():
            if self._alive(entry.owner):
                continue
            if entry.deliveries:
                return entry  # it has had its turn
            first.setdefault(entry.batch.lane, entry)
            if len(first) == len(turns):
                break  # of every lane one was found
        # A lane with nothing left comes back as if it were new.
        self._turns[expert] = turns = {lane: turns[lane] for lane in first}
        if not first:
            return None
        lane = min(first, key=turns.__getitem__)
        self._turn += 1
        turns[lane] = self._turn
        return first[lane]

    async def acknowledge(self, claim: Claim) -> None:
        if self._entry(claim):
            del self._entries[claim.batch.expert][claim.batch.id]

    async def release(self, claim: Claim) -> None:
        entry = self._entry(claim)
        if entry and entry.owner == _worker(claim):
            entry.owner = None
            self._ring()

    async def depths(self) -> Mapping[str, Depth]:
        return {expert: self._depth(queue) for expert, queue in self._entries.items() if len(queue)}

    async def take_expert(self, worker: str, expert: str) -> bool:
        self._sign_of_life(worker)
        holder = self._holders.get(expert)
        if holder != worker and self._alive(holder):
            return False
        self._holders[expert] = worker
        return True

    async def give_expert(self, worker: str, expert: str) -> None:
        if self._holders.get(expert) == worker:
            del self._holders[expert]

    async def holders(self) -> Mapping[str, str]:
        return {e: worker for e, worker in self._holders.items() if self._alive(worker)}

    async def beat(self, state: WorkerState) -> None:
        self._beats[state.name] = (self._clock.monotonic(), state)

    async def leave(self, worker: str) -> None:
        self._beats.pop(worker, None)
        self._ring()

    async def workers(self) -> Sequence[WorkerState]:
        return [self._beats[name][1] for name in sorted(self._beats) if self._alive(name)]

    async def wait(self, timeout_s: float) -> None:
        if self._heard == self._rung:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._bell.wait()
        self._heard = self._rung

    def _ring(self) -> None:
        """Wakes all who wait."""
        self._rung += 1
        self._bell.set()
        self._bell = asyncio.Event()

    def _sign_of_life(self, worker: str) -> None:
        if not self._alive(worker):
            self._beats[worker] = (self._clock.monotonic(), WorkerState(worker))

    def _alive(self, worker: str | None) -> bool:
        beat = self._beats.get(worker) if worker else None
        return beat is not None and self._clock.monotonic() - beat[0] < self._ttl_s

    def _entry(self, claim: Claim) -> _Entry | None:
        """What was claimed, unless it is gone or was published anew since."""
        entry = self._entries[claim.batch.expert].get(claim.batch.id)
        number = claim.token.rpartition("|")[2]
        return entry if entry and str(entry.number) == number else None

    def _depth(self, queue: Mapping[str, _Entry]) -> Depth:
        owners = [entry.owner for entry in queue.values() if entry.owner]
        claimed = sum(map(self._alive, owners))
        return Depth(len(queue) - claimed, claimed)


def _worker(claim: Claim) -> str:
    return claim.token.rpartition("|")[0]
