"""The weights of small models: loaded, laid over with adapters, and run for one pass.

Knows transformers, and nothing of requests or slots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from aggregator.fusion import grouped_attention
from aggregator.fusion.attention_masks import AttentionMask
from aggregator.fusion.configuration import SmallModel
from aggregator.fusion.lora import AdapterRows, Which, install_adapter
from coterie.errors import ConfigurationError


class Weights:
    """A causal language model in transformers' form, on one device, with adapters over it."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        self.layers: int = model.config.get_text_config().num_hidden_layers
        self._grouped = model.config._attn_implementation == "sdpa"
        self._attend(grouped_attention.NAME)
        self._adapters = AdapterRows()
        self._wanted: Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._keep_wanted)

    @classmethod
    def load(cls, small: SmallModel, device: torch.device) -> Weights:
        """What ``small`` runs on.  Raises ConfigurationError where it cannot be had."""
        try:
            config = AutoConfig.from_pretrained(small.model, **small.overrides)
            caps = getattr(config.get_text_config(), "attn_logit_softcapping", None)
            model = AutoModelForCausalLM.from_pretrained(
                small.model,
                config=config,
                dtype=small.dtype if small.dtype == "auto" else getattr(torch, small.dtype),
                attn_implementation="eager" if caps else None,  # alone knows caps
            )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(
                f"small model {small.model!r} cannot be loaded: {error}; give a folder with"
                " config.json and weights in Hugging Face's layout"
            ) from error
        return cls(model.to(device))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def vocabulary(self) -> int:
        """How many tokens it can read."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def add_adapter(self, name: str, folder: str) -> None:
        """Lays an adapter over the weights, for the rows that ask for it by ``name``."""
        install_adapter(self.model, self._adapters, name, folder)

    def alone(self, tokens: Sequence[int]) -> Tensor:
        """The logits (V,) after ``tokens``, as transformers computes them with no cache at all."""
        ids = torch.tensor([list(tokens)], device=self.device)
        self._attend("sdpa")
        logits: Tensor = self.model(input_ids=ids, use_cache=False).logits[0, -1].float()
        self._attend(grouped_attention.NAME)
        return logits

    def logits(
        self,
        tokens: Tensor,
        *,
        positions: Tensor,
        mask: AttentionMask,
        cache: Any,
        adapters: Mapping[str, Which],
        rows: Tensor,
    ) -> Tensor:
        """The logits after the last column of ``tokens`` (batch, width): (rows, V) float32.

        ``positions``: (batch, width).  ``adapters`` says which rows of the batch have which
        adapter; ``rows`` which of them are wanted, in which order.
        """
        self._adapters.now, self._wanted = adapters, rows
        out = self.model(
            input_ids=tokens.clamp(0, self.vocabulary - 1),  # an id of the large model's padding
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._adapters.now, self._wanted = {}, None
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def _attend(self, implementation: str) -> None:
        if self._grouped:
            self.model.set_attn_implementation(implementation)

    def _keep_wanted(self, _head: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Drops and orders rows before the vocabulary makes them wide."""
        if self._wanted is None:
            return None
        return given[0].index_select(0, self._wanted), *given[1:]
