"""What follows for an expert from those it is made of: a fusion's size, context, capabilities.

Pure.

==================  ============================================================================
total parameters    what its engine holds: the large model, and each small model's weights once,
                    of every enabled fusion on that engine; adapters are small beside their base
active parameters   what a token takes: the large model, the small base, and every small expert
context             the large model's
capabilities        the large model's, but for media, which the small ones do not read
==================  ============================================================================

What the entry itself says goes before; what cannot be summed up is left open.  An adapter can do
what its base can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from coterie.types import Capability, Expert, FusionSpec, SmallModel

_MEDIA = (Capability.IMAGES, Capability.AUDIO, Capability.VIDEO, Capability.FILES)


def completed(experts: Sequence[Expert]) -> tuple[Expert, ...]:
    """``experts``, the fused ones and adapters with what they leave open."""
    known = {e.name: e for e in experts}
    return tuple(
        _completed(e, e.fusion, known) if e.fusion else _adapted(e, known) for e in experts
    )


def _adapted(expert: Expert, known: Mapping[str, Expert]) -> Expert:
    base = known.get(expert.base or "")
    if base is None or base.capabilities is None or expert.capabilities is not None:
        return expert
    return replace(expert, capabilities=base.capabilities)


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
        capabilities=_of_text(large) if expert.capabilities is None else expert.capabilities,
    )


def _of_text(large: Expert) -> tuple[Capability, ...] | None:
    able = large.capabilities
    return None if able is None else tuple(c for c in able if c not in _MEDIA)


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
