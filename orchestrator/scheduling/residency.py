"""Which engines of this node are up: the port between deciding and doing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Protocol

from coterie.ports import Engine


class Tier(IntEnum):
    """How near an engine is to answering; a higher tier is nearer."""

    STOPPED = 0
    """No process."""
    ASLEEP_2 = 1
    """The process lives; weights and KV cache are discarded."""
    ASLEEP_1 = 2
    """Weights are in host memory, the KV cache is discarded."""
    AWAKE = 3
    """It takes requests."""


class Residency(Protocol):
    """The engines of one node, by the expert whose engine it is (a LoRA expert's base).

    A move waits until it is done; it raises an :class:`coterie.errors.EngineError` if it fails, and
    the engine is then as :meth:`tiers` says.
    """

    def tiers(self) -> Mapping[str, Tier]:
        """Where each engine is now."""

    def host(self, expert: str) -> str:
        """The engine that serves ``expert``: itself, or its base."""

    async def move(self, engine: str, tier: Tier) -> None:
        """Brings the engine to ``tier``; never while it answers: it waits for that first."""

    def engine(self, expert: str) -> Engine:
        """The expert, to be asked; raises EngineUnavailable unless its engine is awake."""
