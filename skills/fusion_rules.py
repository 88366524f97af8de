"""What makes a fusion valid: its large model, and the small ones beside it.  Pure.

Refuses to know whether folders exist or vocabularies agree: whoever starts the engine finds out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from coterie.types import Expert, ExpertKind, FusionSpec, SmallModel

_SPECULATIVE = re.compile(r"speculative.*|spec_.*|sc|sc\..*")
"""vLLM's arguments for speculative decoding, which takes no logits processors."""

_ALONE, _BASELESS = "contrast", "log-linear"
"""The mode that has no small experts, its base being the amateur, and the one that asks no base."""


def fusion_problems(expert: Expert, others: Mapping[str, Expert]) -> Iterator[str]:
    """Everything that is wrong with what ``expert`` is made of."""
    fusion = expert.fusion
    if fusion is None:
        yield "kind 'fusion' needs 'fusion': its large model, small base, small experts and mode"
        return
    yield from _large_problems(expert, fusion.large, others)
    if fusion.base:
        yield from _small_problems("its small base", fusion.base, others)
    for part in fusion.experts:
        yield from _small_problems(f"its small expert {part.label!r}", part, others)
    yield from _set_problems(fusion)


def _large_problems(expert: Expert, name: str, others: Mapping[str, Expert]) -> Iterator[str]:
    large = others.get(name)
    engines = _names(e.name for e in others.values() if e.kind is ExpertKind.VLLM)
    if not name:
        yield f"it needs 'large', one of the experts of kind 'vllm' ({engines})"
    elif name == expert.name:
        yield "a fusion cannot be its own large model"
    elif large is None:
        yield f"its large model {name!r} is not registered; of kind 'vllm' are {engines}"
    elif large.kind is not ExpertKind.VLLM:
        yield (
            f"its large model {name!r} is of kind {large.kind.value!r}; models are fused inside "
            f"an engine that Coterie starts, so use one of kind 'vllm' ({engines})"
        )
    else:
        yield from _engine_problems(large)
        if expert.enabled and not large.enabled:
            yield (
                f"it is enabled, but its large model {name!r} is not; "
                "enable that one or disable the fusion"
            )


def _engine_problems(large: Expert) -> Iterator[str]:
    for key, value in large.engine_args.items():
        name = key.lstrip("-").replace("-", "_")
        if _SPECULATIVE.fullmatch(name) and value not in (None, False):
            yield (
                f"the engine of its large model {large.name!r} decodes speculatively ({key!r}), "
                "which leaves no step to fuse at; take that out of its engine_args"
            )
        elif name == "enable_prompt_embeds" and value:
            yield (
                f"the engine of its large model {large.name!r} takes prompts as embeddings "
                f"({key!r}), which no small model could read; take that out of its engine_args"
            )
    own = large.engine_args.get("additional_config") or large.engine_args.get("additional-config")
    if isinstance(own, Mapping) and "fusion" in own:
        yield (
            f"the engine_args of its large model {large.name!r} set additional_config.fusion, "
            "which is Coterie's to write; take it out"
        )


def _small_problems(what: str, part: SmallModel, others: Mapping[str, Expert]) -> Iterator[str]:
    if bool(part.expert) == bool(part.model):
        yield f"{what} needs either 'expert', a registered one, or 'model', and not both"
    elif part.expert and part.adapter:
        yield f"{what} is the registered {part.expert!r} and takes no 'adapter' of its own"
    elif part.expert:
        yield from _registered_problems(what, part.expert, others)
    if part.params_b is not None and not 0 < part.params_b < float("inf"):
        yield f"'params_b' of {what} is {part.params_b!r}, but must be above 0"


def _registered_problems(what: str, name: str, others: Mapping[str, Expert]) -> Iterator[str]:
    found = others.get(name)
    lora = found is not None and found.kind is ExpertKind.LORA
    weights = others.get(found.base or "") if found and lora else found
    if found is None:
        usable = (e.name for e in others.values() if e.kind in (ExpertKind.VLLM, ExpertKind.LORA))
        yield f"{what}: no expert {name!r} is registered; it may be {_names(usable)}, or a 'model'"
    elif found.kind is ExpertKind.FUSION:
        yield f"{what}, {name!r}, is a fusion: a fusion cannot be part of another"
    elif weights is None or weights.kind is not ExpertKind.VLLM:
        yield (
            f"{what}, {name!r}, is served elsewhere, and its weights are needed here; "
            "use one of kind 'vllm', or a 'lora' on such"
        )


def _set_problems(fusion: FusionSpec) -> Iterator[str]:
    labels = [part.label for part in fusion.experts]
    made_of = [replace(part, name="", params_b=None) for part in fusion.experts]
    base = fusion.base and replace(fusion.base, name="", params_b=None)
    if fusion.base is None and fusion.mode.get("kind") != _BASELESS:
        yield f"it has no small base; only the mode {_BASELESS!r} does without"
    if not labels and fusion.mode.get("kind") != _ALONE:
        yield f"it has no small experts; only the mode {_ALONE!r} does without"
    if base in made_of:
        label = labels[made_of.index(base)]
        yield f"its small expert {label!r} is its small base, so that nothing would be added"
    if any(part in made_of[:i] for i, part in enumerate(made_of)):
        yield "one of its small experts is there twice; leave one out"
    elif repeated := sorted({label for label in labels if labels.count(label) > 1}):
        yield f"several of its small experts are called {_names(repeated)}; give each a 'name'"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
