"""A LoRA adapter of random numbers: as slow as a trained one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

SIDES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def write_adapter(folder: Path, model: Path, *, rank: int, seed: int = 0) -> str:
    """An adapter over every linear layer of the model in ``model``; returns its folder."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    with safe_open(model / "model.safetensors", "pt") as stored:
        for key in stored.keys():  # noqa: SIM118
            name = key.removesuffix(".weight")
            if name == key or not name.endswith(SIDES):
                continue
            wide, narrow = stored.get_slice(key).get_shape()
            to = f"base_model.model.{name}.lora_{{}}.weight"
            tensors[to.format("A")] = torch.randn(rank, narrow, generator=draw) / narrow**0.5
            tensors[to.format("B")] = torch.randn(wide, rank, generator=draw) / rank
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank}
    config |= {"target_modules": list(SIDES), "bias": "none", "base_model_name_or_path": str(model)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return str(folder)
