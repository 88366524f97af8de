"""What an engine's command line says of its fusions.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aggregator.fusion.configuration import FusionConfiguration
from coterie.errors import ConfigurationError
from coterie.types import JSON, as_jsonable
from orchestrator.engines.runner import Runner

_MOST_BYTES = 100_000
"""What one argument of a process may hold, less a margin (Linux: 128 KiB)."""


@dataclass(frozen=True, slots=True)
class EngineFusion:
    """What an engine with fusions is started with, beside its own arguments.

    ``packages`` is a folder to import from, which holds our own packages and no others: the
    engine's interpreter may be another one than ours.
    """

    configuration: FusionConfiguration
    runner: Runner
    packages: str


def fusion_arguments(
    expert: str, fusion: EngineFusion, arguments: Mapping[str, JSON]
) -> dict[str, JSON]:
    """The logits processor and what it is told, beside those the engine has already."""
    own = arguments.get("additional_config") or {}
    if not isinstance(own, Mapping):
        raise ConfigurationError(
            f"expert {expert!r}: engine_args.additional_config must map names to values where "
            f"fusions are added to it, not be {own!r}"
        )
    block = fusion.configuration.as_additional_config()
    if len(json.dumps(as_jsonable(block))) > _MOST_BYTES:
        raise ConfigurationError(
            f"expert {expert!r}: its fusions take more than {_MOST_BYTES} bytes to describe, "
            "and a process takes no longer argument; shorten the prompts of their small models"
        )
    processors = [*listed(arguments.get("logits_processors") or ()), fusion.runner.processor]
    return {"additional_config": {**own, **block}, "logits_processors": processors}


def listed(value: JSON) -> list[str]:
    """One or several, as vLLM takes them: words of their own behind the option."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(one) for one in value]
    return [str(value)]
