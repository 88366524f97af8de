"""What follows for a fused expert from the experts it is made of: its size, its context.  Pure.

==================  ============================================================================
total parameters    what its engine holds: the large model, and each small model's weights once,
                    of every enabled fusion on that engine; adapters are small beside their base
active parameters   what a token takes: the large model, the small base, and every small expert
context             the large model's
==================  ============================================================================

What the entry itself says goes before; what cannot be summed up is left open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from coterie.types import Expert, FusionSpec, SmallModel


def completed(experts: Sequence[Expert]) -> tuple[Expert, ...]:
    """``experts``, the fused ones with what they leave open."""
    known = {e.name: e for e in experts}
    return tuple(_completed(e, e.fusion, known) if e.fusion else e for e in experts)


def _completed(expert: Expert, fusion: FusionSpec, known: Mapping[str, Expert]) -> Expert:
    large = known.get(fusion.large)
    if large is None:
        return expert
    beside = [e.fusion for e in known.values() if e.fusion and e.host == large.name and e.enabled]
    held = _weights([fusion, *beside], known)
    total = _sum([large.total_params_b or large.active_params_b, *held.values()])
    running = [_size(part, known, active=True) for part in fusion.parts]
    active = _sum([large.active_params_b or large.total_params_b, *running])
    return replace(
        expert,
        context_length=expert.context_length or large.context_length,
        total_params_b=expert.total_params_b or total,
        active_params_b=expert.active_params_b or active,
    )


def _weights(fusions: Iterable[FusionSpec], known: Mapping[str, Expert]) -> dict[str, float | None]:
    """The size of each small model's weights, by where they come from."""
    found: dict[str, float | None] = {}
    for part in (part for fusion in fusions for part in fusion.parts):
        weights = _registered(part, known)
        source = weights.model if weights else part.model
        found[source] = found.get(source) or _size(part, known, active=False)
    return found


def _size(part: SmallModel, known: Mapping[str, Expert], *, active: bool) -> float | None:
    weights = _registered(part, known)
    if part.params_b or weights is None:
        return part.params_b
    if active:
        return weights.active_params_b or weights.total_params_b
    return weights.total_params_b or weights.active_params_b


def _registered(part: SmallModel, known: Mapping[str, Expert]) -> Expert | None:
    """The expert whose weights the part runs on, where it is a registered one."""
    found = known.get(part.expert or "")
    return known.get(found.host) if found else None


def _sum(sizes: Sequence[float | None]) -> float | None:
    whole = [size for size in sizes if size is not None]
    return sum(whole) if len(whole) == len(sizes) else None
