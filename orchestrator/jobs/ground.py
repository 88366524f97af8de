"""What every job works with: stores, queue, inference, knowledge, tasks.  Made once a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coterie.clock import SystemClock
from coterie.ports import Clock, Task
from coterie.types import Expert
from orchestrator.descriptions import Embed
from orchestrator.jobs.item_store import ItemStore
from orchestrator.jobs.job import Job, JobSpec
from orchestrator.jobs.store import JobStore
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.keys.budget import Spent
from orchestrator.keys.purse import Admitted
from orchestrator.routing import Policy
from orchestrator.scheduling.work import Batch, Depth, WorkerState
from skills.infer import SkillInference
from skills.knowledge import Knowledge


async def nobody_pays(job: Job) -> None:
    """Where nobody counts."""


class Publishing(Protocol):
    """The side of a :class:`orchestrator.scheduling.work.WorkQueue` that jobs see."""

    async def publish(self, batches: Sequence[Batch]) -> None: ...

    async def depths(self) -> Mapping[str, Depth]: ...

    async def workers(self) -> Sequence[WorkerState]: ...


@dataclass(slots=True)
class Tally:
    """What whoever does the work tells of it: loads by expert, and seconds spent loading."""

    loads: Counter[str] = field(default_factory=Counter)
    load_s: float = 0.0

    def loaded(self, expert: str, seconds: float) -> None:
        """The engine of ``expert`` was brought up, which took so long."""
        self.loads[expert] += 1
        self.load_s += seconds


class Paying(Protocol):
    """What a job pays with; see :class:`orchestrator.keys.purse.Purse`."""

    def count(self, spent: Spent, finished: Collection[int]) -> None: ...

    async def admit(self, wanted: Mapping[int, Spent]) -> Admitted: ...

    async def close(self, total: Spent) -> None: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground jobs stand on.

    ``known`` gives the registry's experts as they are now; ``knowledge`` the snapshot of a name, or
    the active one for None; ``describe`` the vectors of experts' descriptions, and ``embed`` those
    of any text, where there is an encoder; ``purse`` what a job pays with, where anybody counts.
    """

    jobs: JobStore
    items: ItemStore
    units: UnitStore
    queue: Publishing
    inference: SkillInference
    policy: Policy
    known: Callable[[], Mapping[str, Expert]]
    knowledge: Callable[[str | None], Awaitable[Knowledge]]
    describe: Callable[[Sequence[Expert]], Awaitable[Mapping[str, NDArray[np.float32]]]]
    load_task: Callable[[JobSpec], Awaitable[Task]]
    tally: Tally = field(default_factory=Tally)
    clock: Clock = field(default_factory=SystemClock)
    embed: Embed | None = None
    purse: Callable[[Job], Awaitable[Paying | None]] = nobody_pays
