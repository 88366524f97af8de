"""Greedy answers of a model that runs alone, with an adapter or without, in batches.

Prompts are rendered as a server renders a request with one user message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; ``finished``: the model ended it, not the limit."""

    text: str
    finished: bool


class Alone:
    """A model folder, loaded once; ``adapter`` is a folder with LoRA, as PEFT saves it."""

    def __init__(
        self, model: str, adapter: Path | None = None, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model, padding_side="left")
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        if adapter is not None:
            from peft import PeftModel

            loaded = PeftModel.from_pretrained(loaded, str(adapter))
        self._model = loaded.eval()

    @torch.inference_mode()
    def answers(self, prompts: Sequence[str], *, tokens: int, batch: int = 25) -> list[Said]:
        """An answer of at most ``tokens`` tokens for each prompt, in the order given."""
        said: dict[int, Said] = {}
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            said |= zip(rows, self._answer([prompts[i] for i in rows], tokens), strict=True)
        return [said[row] for row in range(len(prompts))]

    def _answer(self, prompts: Sequence[str], tokens: int) -> list[Said]:
        texts = [self._rendered(prompt) for prompt in prompts]
        read = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        made = self._model.generate(**read, max_new_tokens=tokens, do_sample=False)
        end = self._tokenizer.eos_token_id
        return [
            Said(self._tokenizer.decode(row, skip_special_tokens=True), end in row.tolist())
            for row in made[:, read["input_ids"].shape[1] :]
        ]

    def _rendered(self, prompt: str) -> str:
        turns = [{"role": "user", "content": prompt}]
        return str(
            self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        )
