"""Tiny random models with one vocabulary, written to folders as real ones are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

VOCABULARY = 96
KINDS: dict[str, Any] = {"llama": LlamaConfig, "qwen2": Qwen2Config, "mistral": MistralConfig}


def write_model(
    folder: Path, kind: str = "qwen2", *, seed: int, size: int = 32, heads: int = 4, **config: Any
) -> str:
    """A model with logits that differ as much as a trained one's; returns its folder."""
    made = KINDS[kind](
        vocab_size=VOCABULARY,
        hidden_size=size,
        intermediate_size=2 * size,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        tie_word_embeddings=False,
        initializer_range=0.4,
        **config,
    )
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(made).save_pretrained(folder)
    write_tokenizer(folder)
    return str(folder)


def write_tokenizer(folder: Path, size: int = VOCABULARY, *, word: str = "w") -> None:
    """Words ``w0 w1 …``, each of its own number."""
    words = {f"{word}{number}": number for number in range(size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=f"{word}2"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=f"{word}2",
        bos_token=f"{word}0",
        eos_token=f"{word}1",
        pad_token=f"{word}1",
    ).save_pretrained(folder)


def write_adapter(folder: Path, model: str, *, seed: int, rank: int = 4, **config: Any) -> str:
    """A LoRA adapter over parts of every layer of the model in ``model``; returns its folder."""
    torch.manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    targets = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
    for name, module in AutoModelForCausalLM.from_pretrained(model).named_modules():
        if name.endswith(targets):
            wide, narrow = module.weight.shape
            key = f"base_model.model.{name}.lora_{{}}.weight"
            tensors[key.format("A")] = torch.randn(rank, narrow) * 0.5
            tensors[key.format("B")] = torch.randn(wide, rank) * 0.5
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    written = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 3 * rank}
    written |= {"target_modules": [target.split(".")[1] for target in targets], "bias": "none"}
    (folder / "adapter_config.json").write_text(
        json.dumps(written | {"base_model_name_or_path": model} | config)
    )
    return str(folder)


@dataclass(frozen=True)
class Alone:
    """A small model by itself: transformers' own forward pass over one whole sequence."""

    model: Any
    prefix: tuple[int, ...] = ()

    @torch.no_grad()
    def logits(self, tokens: Sequence[int]) -> Tensor:
        """The logits (V,) after ``tokens``."""
        ids = torch.tensor([[*self.prefix, *tokens]])
        found: Tensor = self.model(input_ids=ids, use_cache=False).logits[0, -1]
        return found


def alone(model: str, *, adapter: str | None = None, prefix: Sequence[int] = ()) -> Alone:
    """As :class:`Alone`; adapters by PEFT, which writes them."""
    loaded = AutoModelForCausalLM.from_pretrained(model).eval()
    if adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, adapter).eval()
    return Alone(loaded, tuple(prefix))
