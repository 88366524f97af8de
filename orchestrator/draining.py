"""Experts on their way out: nobody asks them any more, and what runs is let end.

    enabled ── drain ──> draining ── what ran has ended ──> disabled
       └────────────────────── disable ────────────────────────^

In the registry a draining expert is disabled, so that no server routes to it: each that sees so
keeps the engine until its own calls are over.  After a restart nothing runs, and it is disabled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from coterie.types import Expert
from orchestrator.engines.gate import Gate

log = logging.getLogger(__name__)

WHY = "it is being drained and takes no new requests; ask another expert, or enable it again"


class Draining:
    """Those that drain in this process.  ``gate`` counts an expert's calls; ``after`` is awaited
    when one has had its last."""

    def __init__(self, gate: Callable[[str], Gate], after: Callable[[], Awaitable[None]]) -> None:
        self._gate = gate
        self._after = after
        self._going: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Who drains now."""
        return frozenset(self._going)

    def see(
        self, before: Mapping[str, Expert], now: Sequence[Expert], at_once: Collection[str] = ()
    ) -> None:
        """Takes note of the registry: whoever was enabled and is no longer drains.

        Those in ``at_once`` do not: their engines go, whatever they are doing.
        """
        known = {expert.name: expert for expert in now}
        for name in self._going.keys() - known.keys():
            self._end(name)
        for name, expert in known.items():
            was = before.get(name)
            if expert.enabled or name in at_once:
                self._end(name)
            elif was and was.enabled and name not in self._going and self._gate(name).inside:
                self._going[name] = asyncio.create_task(self._drain(name), name=f"drain {name}")

    def kept(self, experts: Sequence[Expert]) -> list[Expert]:
        """``experts`` as the engines are to see them: those that drain are still served."""
        return [replace(e, enabled=True) if e.name in self._going else e for e in experts]

    async def aclose(self) -> None:
        """Waits for nobody any more."""
        tasks = [*self._going.values()]
        for name in self.names:
            self._end(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, name: str) -> None:
        if task := self._going.pop(name, None):
            task.cancel()

    async def _drain(self, name: str) -> None:
        async with self._gate(name).closed(WHY):
            pass
        self._going.pop(name, None)
        try:
            await self._after()
        except Exception as error:
            log.warning("the engine of %r ends at the next look at the registry: %r", name, error)
