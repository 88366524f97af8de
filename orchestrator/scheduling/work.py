"""Units of work and the ports they travel through.

A *unit* is one completion to be made, named by its content.  Units of one expert travel in
*batches*, of which only the keys go through the queue: the database is the truth, the queue merely
says who does what.  So a queue that forgets costs time and nothing else::

    runner ── publish ──> WorkQueue ── claim ──> worker ── complete ──> Units ── then acknowledge
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coterie.types import Completion, Failure, Question, Sampling
from orchestrator.scheduling.told import WorkerTold


@dataclass(frozen=True, slots=True)
class Unit:
    """One completion to be made by ``expert``; ``key`` is the hash of all that shapes it."""

    key: str
    expert: str
    question: Question
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Batch:
    """Units of one expert that are handed out together, by their keys.

    ``id`` is the same for the same keys: to publish a batch twice is to publish it once.  ``lane``
    is whose work it is, without a colon: lanes are served in turn, batch by batch.
    """

    id: str
    expert: str
    keys: tuple[str, ...]
    lane: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that one worker has taken; ``delivery`` counts from 1, more after a reclaim.

    ``token`` is the queue's own name for this delivery.
    """

    batch: Batch
    token: str
    delivery: int = 1


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of one expert's work there is: batches nobody has claimed, and claimed ones."""

    waiting: int = 0
    claimed: int = 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says of itself with every heartbeat.

    ``experts`` it could serve, the ``resident`` ones are loaded, and of these ``busy`` ones answer
    now; a ``draining`` worker claims nothing more.  ``told`` is for those who look on.
    """

    name: str
    experts: tuple[str, ...] = ()
    resident: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    draining: bool = False
    told: WorkerTold = field(default_factory=WorkerTold)


class WorkQueue(Protocol):
    """Hands batches to workers, each at least once.

    A worker's name is the name of one life: a process that starts again takes another, or what it
    had claimed before would look claimed by the living.  To claim and to take are signs of life.

    Every method raises :class:`coterie.errors.QueueUnavailable` while the queue cannot be reached;
    whether it then took effect is not known, and to call it again does no harm.
    """

    async def publish(self, batches: Sequence[Batch]) -> None:
        """Puts batches that are neither waiting nor claimed at the end of their lanes."""

    async def claim(self, worker: str, expert: str) -> Claim | None:
        """A batch of ``expert`` that nobody has; None: there is none.

        The oldest that was given back, or whose claimant is dead; else the oldest of the lane whose
        turn it is.
        One worker's claims go through one queue object, one after the other.
        """

    async def acknowledge(self, claim: Claim) -> None:
        """The batch is done: its results are stored.  Does nothing if it was acknowledged."""

    async def release(self, claim: Claim) -> None:
        """Gives the batch back, for anybody to claim at once; does nothing if another has it."""

    async def depths(self) -> Mapping[str, Depth]:
        """Each expert's depth, where it is not empty; what the dead had claimed is waiting."""

    async def take_expert(self, worker: str, expert: str) -> bool:
        """Makes ``worker`` the one that loads ``expert``, unless a live one already is.

        It stays so while the worker's heartbeat lasts, or until it is given up.
        """

    async def give_expert(self, worker: str, expert: str) -> None:
        """The worker no longer serves ``expert``; does nothing if it did not."""

    async def holders(self) -> Mapping[str, str]:
        """The live worker that serves each expert."""

    async def beat(self, state: WorkerState) -> None:
        """The worker is alive; it counts as dead when it has not said so for the queue's TTL."""

    async def leave(self, worker: str) -> None:
        """The worker ends: what it had not acknowledged is anybody's at once."""

    async def workers(self) -> Sequence[WorkerState]:
        """The live workers, by name."""

    async def wait(self, timeout_s: float) -> None:
        """Returns when something was published or given back, or after ``timeout_s``.

        At once, if that happened since the last call returned: nothing is missed between two.
        """


class Units(Protocol):
    """Where units wait for their completions.

    Every method raises :class:`coterie.errors.StoreUnavailable` while the database is away.
    """

    async def open(self, keys: Sequence[str]) -> Sequence[Unit]:
        """Those of ``keys`` that have no completion yet and are not parked."""

    async def complete(self, key: str, completion: Completion) -> None:
        """Keeps the completion; the first one stays, whoever brings another."""

    async def fail(self, key: str, failure: Failure, *, final: bool = False) -> bool:
        """Counts a failed try; true if that was the last one and the unit is now parked.

        The last ``failure`` is kept.  A ``final`` one parks it at once: to try again would be no
        use.
        """
