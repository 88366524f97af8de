"""Fused logits out of a large model's and its small companions', for a whole batch at once.

Pure: it is given logits and a mode, and knows nothing of models, tokenizers, requests or vLLM.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.modes import Mode


@dataclass(frozen=True, slots=True)
class Fused:
    """``logits`` (rows, V) float32; ``alpha`` (rows, experts) float32: how far each expert pulled.

    For log-linear mixtures ``alpha`` holds the experts' weights; for contrast it has no columns.
    """

    logits: Tensor
    alpha: Tensor


@torch.no_grad()
def fuse(large: Tensor, base: Tensor | None, experts: Tensor, mode: Mode) -> Fused:
    """The batch fused; every row by itself.

    ``large``: (rows, V) float32, with −inf where a mask has excluded a token: it stays excluded.
    ``base``: (rows, V'), the small base's, or the amateur's for ``Contrast``; None is allowed for
    ``LogLinear``, which does not ask it.  ``experts``: (experts, rows, V''), (0, rows, V'') for
    ``Contrast``.  V, V' and V'' may differ by padding: what is beyond the shortest gets −inf.
    ``fuse`` writes to none of them.  ConfigurationError where mode and experts do not fit together.
    """
    raise NotImplementedError
