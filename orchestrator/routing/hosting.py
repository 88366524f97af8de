"""How much memory it takes to hold experts ready: counted by engine, since adapters share one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coterie.types import Expert, ExpertKind

GB_PER_BILLION = 2.0
"""Weights at 16 bit.  All parameters count, active or not; the cache of keys and values does not,
and neither do adapters, which are small beside their base.  The small models of a fusion count with
its large one: their size is part of the fusion's."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """``engine``: (e) the engine each expert runs on; ``memory_gb``: (m) what each engine takes,
    infinite where the size of its model is not known."""

    engine: tuple[int, ...]
    memory_gb: tuple[float, ...]


def hosting_of(experts: Sequence[Expert]) -> Hosting:
    """The engines of ``experts``, numbered in the order of their names."""
    memory: dict[str, float] = {}
    for expert in experts:
        memory[expert.host] = max(memory.get(expert.host, 0.0), _size_gb(expert))
    names = sorted(memory)
    gb = tuple(memory[name] or math.inf for name in names)
    return Hosting(tuple(names.index(e.host) for e in experts), gb)


def _size_gb(expert: Expert) -> float:
    """0 where it is not known: an adapter's base, say, may know."""
    if expert.kind is ExpertKind.LORA and not expert.total_params_b:
        return 0.0
    return GB_PER_BILLION * (expert.total_params_b or expert.active_params_b or 0.0)
