"""How the work stands, to be looked at: the workers, and what waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coterie.errors import QueueUnavailable
from orchestrator.scheduling.work import Depth, WorkerState, WorkQueue

PATIENCE_S = 2.0
"""How long the shared queue is waited for by somebody who only looks."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The live workers, each expert's depth, and who serves whom.

    ``shared``: workers of other processes may be among them; ``away`` says why nothing is known of
    these.
    """

    workers: Sequence[WorkerState] = ()
    depths: Mapping[str, Depth] = field(default_factory=dict)
    holders: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False
    away: str = ""


class Workforce:
    """Looks at the queue of this process, and at the shared one, where there is one."""

    def __init__(self, here: WorkQueue, shared: WorkQueue | None = None) -> None:
        self._here = here
        self._shared = shared

    async def look(self) -> Standing:
        """How the work stands now; never fails."""
        found = await _look(self._here)
        if self._shared is None:
            return found
        try:
            async with asyncio.timeout(PATIENCE_S):
                theirs = await _look(self._shared)
        except QueueUnavailable as error:
            return Standing(found.workers, found.depths, found.holders, True, str(error))
        except TimeoutError:
            told = "the work queue does not answer: is the server in REDIS_URL running?"
            return Standing(found.workers, found.depths, found.holders, True, told)
        return Standing(
            [*found.workers, *theirs.workers],
            {**found.depths, **theirs.depths},
            {**found.holders, **theirs.holders},
            True,
        )


async def _look(queue: WorkQueue) -> Standing:
    return Standing(await queue.workers(), await queue.depths(), await queue.holders())
