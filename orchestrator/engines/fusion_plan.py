"""What the fusions on one engine come to: whose weights, under which names.  Pure.

    registry       fusion "lifted": base {expert: small}, experts [{expert: small-law}]
    resolved       base {model: org/small}, experts [{model: org/small, adapter: DIR}]
    configuration  small: {small: …, small-law: …}; fusions: {lifted: small and [small-law]}

Small models that are the same in two fusions are one in the engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from aggregator.fusion import configuration
from aggregator.fusion.configuration import FusionConfiguration, Recipe
from coterie.errors import ConfigurationError
from coterie.types import JSON, Expert, ExpertKind, FusionSpec, SmallModel

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def resolved(fusion: FusionSpec, everyone: Mapping[str, Expert]) -> FusionSpec:
    """The fusion with the weights of the registered experts it names.

    Raises:
        ConfigurationError: one is not registered, or its weights are not ours to load.
    """
    base = _weights(fusion.base, everyone) if fusion.base else None
    experts = tuple(_weights(part, everyone) for part in fusion.experts)
    return replace(fusion, base=base, experts=experts)


def _weights(part: SmallModel, everyone: Mapping[str, Expert]) -> SmallModel:
    # How large it is said to be makes no other engine.
    part = replace(part, name=part.label, params_b=None)
    if part.expert is None:
        return part
    expert = everyone.get(part.expert)
    owner = everyone.get(expert.host) if expert else None
    if expert is None or owner is None or owner.kind is not ExpertKind.VLLM or expert.fusion:
        raise ConfigurationError(
            f"its small model {part.expert!r} is not a registered expert of kind vllm, nor a lora "
            "on such; name one, or give a 'model' and perhaps an 'adapter'"
        )
    dtype = part.dtype or _dtype(owner)
    return replace(part, expert=None, model=owner.model, adapter=expert.adapter, dtype=dtype)


def _dtype(owner: Expert) -> str | None:
    """What the expert's own engine computes in, where it is told."""
    given = owner.engine_args.get("dtype", owner.engine_args.get("--dtype"))
    return given if isinstance(given, str) and given in configuration.DTYPES else None


def configuration_of(
    fusions: Mapping[str, FusionSpec], *, traces: str | None = None
) -> FusionConfiguration:
    """What the engine is told of ``fusions``, which are resolved; ``traces`` is a folder.

    Raises:
        ConfigurationError: a mode is none, or does not fit the number of experts.
    """
    small: dict[str, configuration.SmallModel] = {}
    recipes = {}
    for name, fusion in sorted(fusions.items()):
        base = _named(fusion.base, small) if fusion.base else None
        experts = [_named(part, small) for part in fusion.experts]
        written: dict[str, JSON] = {"base": base, "experts": experts, "mode": fusion.mode}
        recipes[name] = Recipe.of(name, written)
    return FusionConfiguration(small, recipes, traces)


def _named(part: SmallModel, small: dict[str, configuration.SmallModel]) -> str:
    """The name of ``part`` in ``small``, which it is put into; its own, unless that is taken."""
    made = configuration.SmallModel(
        part.model, part.adapter, part.prompt, part.dtype or "auto", part.overrides
    )
    for name, known in small.items():
        if known == made:
            return name
    name = wanted = _NOT_IN_NAMES.sub("-", part.label).lstrip("._-")[:100] or "small"
    tries = 1
    while name in small:
        tries += 1
        name = f"{wanted}-{tries}"
    small[name] = made
    return name
