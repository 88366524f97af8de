"""Gets an engine's fusions ready to start: weights found, adapters read, our code within reach.

What is decided is in ``fusion_plan`` and ``runner``.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import aggregator
import coterie
from aggregator.fusion.vocabulary import shared_size
from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel
from orchestrator.engines.alpha_traces import traces_folder
from orchestrator.engines.fusion_arguments import EngineFusion
from orchestrator.engines.fusion_plan import configuration_of, resolved
from orchestrator.engines.runner import find_vllm, runner_of
from orchestrator.engines.vllm import VllmSpec, own_environment, read_adapter
from orchestrator.engines.weights import resolve_model

_NEEDED = (aggregator, coterie)
"""The packages of ours that the engine's process imports."""


def prepare_fusion(
    spec: VllmSpec, model: str, *, home: Path, python: str, environ: Mapping[str, str]
) -> EngineFusion:
    """What ``spec``'s fusions need; ``model`` is what its engine loads.  May take long.

    Raises:
        ConfigurationError: a part is missing, or speaks another vocabulary; the message names the
            fusion.
    """
    find = cache(lambda name: resolve_model(name, home / "models"))  # most are asked for twice
    ready = {name: _at_hand(name, f, model, find) for name, f in spec.fusions.items()}
    traces = traces_folder(home) / spec.name
    traces.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = configuration_of(ready, traces=str(traces.resolve()))
    runner = runner_of(find_vllm(python), {**environ, **own_environment(spec)})
    return EngineFusion(configuration, runner, str(_packages(home)))


def check_fusion(expert: Expert, everyone: Mapping[str, Expert], home: Path) -> None:
    """Tries whether ``expert`` could be prepared beside ``everyone``; may take long.

    What the registry's own rules refuse is left to them.

    Raises:
        ConfigurationError: as :func:`prepare_fusion` would.
    """
    large = everyone.get(expert.host)
    if expert.fusion is None or large is None or large.kind is not ExpertKind.VLLM:
        return
    find = cache(lambda name: resolve_model(name, home / "models"))
    ready = _at_hand(expert.name, resolved(expert.fusion, everyone), find(large.model), find)
    configuration_of({expert.name: ready})


def _at_hand(name: str, fusion: FusionSpec, large: str, find: Callable[[str], str]) -> FusionSpec:
    try:
        base = fusion.base and _part(fusion.base, find)
        experts = tuple(_part(part, find) for part in fusion.experts)
        found = replace(fusion, base=base, experts=experts)
        _check_vocabularies(large, found)
    except ConfigurationError as error:
        raise ConfigurationError(f"fusion {name!r}: {error}") from error
    return found


def _part(part: SmallModel, find: Callable[[str], str]) -> SmallModel:
    adapter = part.adapter and read_adapter(part.label, part.adapter).path
    model = find(part.model)
    # The engine takes what does not begin like a path for a name on the hub.
    found = str(Path(model).resolve()) if Path(model).is_dir() else model
    return replace(part, model=found, adapter=adapter)


def _check_vocabularies(large: str, fusion: FusionSpec) -> None:
    """Refuses models whose token ids mean different tokens, as far as their folders are here.

    What is only a name on a hub is compared by the engine, which has it then.
    """
    models = dict.fromkeys((large, *(part.model for part in fusion.parts)))
    folders = [Path(model) for model in models if Path(model).is_dir()]
    if len(folders) > 1:
        shared_size(folders)


def _packages(home: Path) -> Path:
    """A folder with links to our own packages."""
    folder = home / "fusion" / "packages"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for package in _NEEDED:
        source = Path(str(package.__file__)).resolve().parent
        _link(folder / source.name, source)
    return folder.resolve()


def _link(link: Path, source: Path) -> None:
    """Makes ``link`` lead to ``source``, at once: engines that start now read it too."""
    with contextlib.suppress(OSError):
        if link.readlink() == source:
            return
    with tempfile.TemporaryDirectory(dir=link.parent) as workspace:
        new = Path(workspace) / link.name
        new.symlink_to(source, target_is_directory=True)
        os.replace(new, link)
