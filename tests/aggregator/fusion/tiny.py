"""Language models small enough to make anew in a test, of random weights."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def model(seed: int, vocabulary: int = 60) -> Any:
    """Two layers with weights large enough that its opinions are firm."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.6,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config).eval()


def says(speaker: Any, *ids: int) -> torch.Tensor:
    """Its logits after these tokens, (V,)."""
    with torch.no_grad():
        return speaker(input_ids=torch.tensor([ids])).logits[0, -1]
