"""Several LoRA adapters as one small expert: task arithmetic (arXiv 2212.04089), through PEFT.

An adapter adds s B A to a weight; the merge adds Σ_i w_i s_i B_i A_i exactly, by laying the A_i and
the B_i side by side: its rank is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError

MERGED = "merged"


def merge(base: Path, adapters: Mapping[Path, float], out: Path) -> Path:
    """Writes the weighted sum of ``adapters`` over ``base`` below ``out``; returns its folder.

    All are folders: ``base`` a Hugging Face model's, ``adapters`` PEFT's LoRA adapters of it, each
    with its weight (λ in the paper; negative to forget).  Wants the extra ``train``.
    """
    if not adapters:
        raise ConfigurationError("a merge wants at least one adapter; none was given")
    model = adapted(base, list(adapters))
    names = [named(index) for index in range(len(adapters))]
    weights = list(adapters.values())
    model.add_weighted_adapter(names, weights, MERGED, combination_type="cat")
    model.save_pretrained(str(out), selected_adapters=[MERGED])
    return out / MERGED


def named(index: int) -> str:
    """An adapter's name; PEFT would take a bare number in a weight's name for a layer's."""
    return f"part-{index}"


def adapted(base: Path, adapters: list[Path]) -> Any:
    """The base with every adapter beside it, named by its place."""
    try:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM
    except ImportError as missing:
        raise ConfigurationError(
            f"merging adapters wants {missing.name!r}, which is not installed; "
            f"install Coterie with its extra 'train'"
        ) from missing
    model = AutoModelForCausalLM.from_pretrained(base)
    model = PeftModel.from_pretrained(model, str(adapters[0]), adapter_name=named(0))
    for index, adapter in enumerate(adapters[1:], start=1):
        model.load_adapter(str(adapter), adapter_name=named(index))
    return model
