"""Attention over a slot cache, for models whose query heads share keys and values.

transformers repeats the keys and values for every query head before it attends, which at each step
copies the whole cache several times over.  With one new token a row, the heads that share a key can
be looked at as that many tokens instead, and nothing is copied.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "coterie_grouped"


def grouped_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query: (rows, heads, tokens, size), key and value: (rows, shared heads, length, size).

    ``attention_mask``: (rows, 1, tokens, length).  Returns (rows, tokens, heads, size).
    """
    rows, heads, tokens, size = query.shape
    if tokens > 1 or heads == key.shape[1]:
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return attended
    together = query.view(rows, key.shape[1], heads // key.shape[1], size)
    seen = scaled_dot_product_attention(
        together, key, value, attn_mask=attention_mask, scale=scaling
    )
    return seen.reshape(rows, 1, heads, value.shape[3]), None


AttentionInterface.register(NAME, grouped_attention)
