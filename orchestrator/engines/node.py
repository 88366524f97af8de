"""A node's engines as the settings describe them: a fleet on demand, and the residency over it."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from coterie.clock import SystemClock
from orchestrator.engines.accelerator import runs_on_gpu
from orchestrator.engines.fleet import Fleet
from orchestrator.engines.http import HttpLimits, create_client
from orchestrator.engines.managed import ManagedSettings
from orchestrator.engines.residency import NodeResidency
from orchestrator.engines.retry import RetryPolicy
from orchestrator.settings import Settings


@asynccontextmanager
async def open_node(
    settings: Settings, *, home: Path | None = None
) -> AsyncIterator[NodeResidency]:
    """The residency of this node, all engines STOPPED; ``sync`` it, then move them.

    ``home`` is where its logs and run records go: two processes with engines need two.  Leaving
    ends every engine.
    """
    python = str(settings.vllm_python or sys.executable)
    managed = ManagedSettings(
        home=home or settings.home,
        python=python,
        environ=settings.environ,
        on_gpu=await asyncio.to_thread(_on_gpu, settings.gpu, python),
    )
    limits = HttpLimits(read_timeout_s=settings.request_timeout_s)
    clock, rng = SystemClock(), random.Random()
    async with (
        create_client(limits) as client,
        create_client(limits, settings.networks) as outside,
        Fleet(
            client,
            managed,
            clock=clock,
            rng=rng,
            retry=RetryPolicy.within(settings.request_timeout_s),
            on_demand=True,
            outside=outside,
        ) as fleet,
    ):
        slots, start_timeout_s = settings.engine_slots, settings.start_timeout_s
        yield NodeResidency(fleet, slots=slots, start_timeout_s=start_timeout_s)


def _on_gpu(setting: str, python: str) -> bool:
    return runs_on_gpu(python) if setting == "auto" else setting == "1"
