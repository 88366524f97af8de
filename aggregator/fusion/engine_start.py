"""From what an engine was started with to its small models, loaded and checked.

Everything that would make fusion wrong later is refused here, with the reason and the next step:
the engine then does not come up.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer

from aggregator.fusion import admission, vllm_cpu
from aggregator.fusion.backbone import Backbone, Variant
from aggregator.fusion.configuration import FusionConfiguration, SmallModel
from aggregator.fusion.parts import check_files
from aggregator.fusion.proof import prove
from aggregator.fusion.rows import FusedRows
from aggregator.fusion.sidecar import Sidecar
from aggregator.fusion.trace import TraceFolder
from aggregator.fusion.vocabulary import Vocabulary
from aggregator.fusion.weights import Weights
from coterie.errors import ConfigurationError


def fused_rows(vllm_config: Any, device: torch.device) -> FusedRows:
    """What an engine with this configuration needs to fuse.  Raises ConfigurationError."""
    configuration = FusionConfiguration.of_additional_config(vllm_config.additional_config)
    check_engine(vllm_config)
    model, scheduler = vllm_config.model_config, vllm_config.scheduler_config
    large = check_files(configuration, model.tokenizer)
    sidecar = load_sidecar(
        configuration,
        device,
        large,
        slots=min(configuration.slots or scheduler.max_num_seqs, scheduler.max_num_seqs),
        max_length=model.max_model_len,
    )
    admission.remember(configuration)
    return FusedRows(configuration, sidecar, _traces(configuration, vllm_config))


def check_engine(vllm_config: Any) -> None:
    """Refuses engine settings under which logits are not one row a request and step."""
    if vllm_config.speculative_config is not None:
        raise ConfigurationError(
            "speculative decoding and fusion exclude each other: the drafts would be checked"
            " against logits that no small model has seen; leave out --speculative-config"
        )
    if getattr(vllm_config.model_config, "enable_prompt_embeds", False):
        raise ConfigurationError(
            "prompts given as embeddings have no tokens that small models could read; leave out"
            " --enable-prompt-embeds"
        )


def load_sidecar(
    configuration: FusionConfiguration,
    device: torch.device,
    large: Vocabulary,
    *,
    slots: int,
    max_length: int,
) -> Sidecar:
    """The small models that any fusion needs, each set of weights once, on ``device``."""
    sharing: dict[tuple[str, str, str], list[str]] = {}
    for name in configuration.used():
        sharing.setdefault(configuration.small[name].weights, []).append(name)
    backbones: dict[str, Backbone] = {}
    for names in sharing.values():
        a_request = max(
            sum(part in names for part in recipe.parts) for recipe in configuration.fusions.values()
        )
        backbone = _backbone(configuration, names, device, large, slots * a_request, max_length)
        backbones |= dict.fromkeys(names, backbone)
    return Sidecar(backbones)


def _backbone(
    configuration: FusionConfiguration,
    names: list[str],
    device: torch.device,
    large: Vocabulary,
    slots: int,
    max_length: int,
) -> Backbone:
    small = configuration.small[names[0]]
    owner = f"small model {names[0]!r}"
    weights = Weights.load(small, device)
    _check_numbers(owner, weights, large)
    prove(weights, owner)
    variants: dict[str, Variant] = {}
    for name in names:
        small = configuration.small[name]
        variants[name] = _variant(name, small)
        _check_length(name, weights, max_length, len(variants[name].prefix))
        if small.adapter is not None:
            weights.add_adapter(name, small.adapter)
    if device.type == "cpu":
        vllm_cpu.pack(weights.model)
    return Backbone(weights, variants, slots=slots, max_length=max_length)


def _variant(name: str, small: SmallModel) -> Variant:
    adapter = None if small.adapter is None else name
    if small.prompt is None:
        return Variant(adapter)
    prefix = tuple(AutoTokenizer.from_pretrained(small.model)(small.prompt)["input_ids"])
    if not prefix:
        raise ConfigurationError(
            f"small model {name!r}: its prompt has no tokens by its tokenizer; give examples, or"
            " leave it out"
        )
    return Variant(adapter, prefix)


def _check_numbers(owner: str, weights: Weights, large: Vocabulary) -> None:
    if (highest := max(large.tokens)) >= weights.vocabulary:
        raise ConfigurationError(
            f"{owner} reads tokens up to number {weights.vocabulary - 1}, but the large model has"
            f" some up to {highest}: resize the small model's embeddings, or take another one"
        )


def _check_length(name: str, weights: Weights, max_length: int, prefix: int) -> None:
    limit = getattr(weights.model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and limit < max_length + prefix:
        raise ConfigurationError(
            f"small model {name!r} reads {limit} tokens at most, but requests may have {max_length}"
            f" and its prompt has {prefix}: give --max-model-len {limit - prefix} or less"
        )


def _traces(configuration: FusionConfiguration, vllm_config: Any) -> TraceFolder | None:
    if configuration.traces is None or not _writes(vllm_config.parallel_config):
        return None
    try:
        return TraceFolder(configuration.traces)
    except OSError as error:
        raise ConfigurationError(
            f"the folder for traces, {configuration.traces!r}, cannot be used: {error}"
        ) from None


def _writes(parallel: Any) -> bool:
    """The first of several ranks, as all fuse the same; all, where each fuses requests of its own.

    The rank counts pipeline stages first, and only the last stage samples.
    """
    sharded = bool(getattr(parallel, "enable_batch_sharded_sampling", False))
    return sharded or parallel.rank % parallel.tensor_parallel_size == 0
