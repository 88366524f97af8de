"""The modes that are one formula: differences added, contrast, log-linear mixtures.  Pure.

Shapes as in ``masks.Rows``; each returns new logits (rows, V).  Constants a row are of no account:
a softmax does not see them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from aggregator.fusion.masks import Rows


def shifted(rows: Rows, alpha: Tensor, out: Tensor | None = None) -> Tensor:
    """z_L + Σ_t α_t (z_t − z_base), with ``alpha`` (rows, experts); written to ``out`` if given.

    Proxy-tuning and DExperts with fixed α; emulated fine-tuning with α = 1, since log-probabilities
    differ from logits by a constant; the paper's P̃ (arXiv 2406.15480, section 3) with searched α.
    """
    fused = torch.empty_like(rows.large) if out is None else out
    so_far = rows.large
    for expert, weight in zip(rows.experts, alpha.unbind(1), strict=True):
        difference = expert - rows.base
        so_far = torch.addcmul(so_far, difference, weight[:, None], out=fused)
    return fused if len(rows.experts) else fused.copy_(so_far)


def contrasted(rows: Rows, beta: float, a: float) -> Tensor:
    """(1 + β) s_expert − β s_amateur, and −inf where s_expert < log a + max s_expert.

    The large model is the expert, the base the amateur (arXiv 2309.09117, section 2).
    """
    fused = torch.lerp(rows.base, rows.large, 1.0 + beta)
    if a > 0.0:
        least = rows.large.amax(1, keepdim=True) + math.log(a)
        fused.masked_fill_(rows.large < least, -torch.inf)
    return fused


def mixed(rows: Rows, weights: Sequence[float]) -> Tensor:
    """Σ_i w_i log p_i over the large model and the experts."""
    fused = rows.large.log_softmax(1).mul_(weights[0])
    for expert, weight in zip(rows.experts, weights[1:], strict=True):
        fused.add_(expert.log_softmax(1), alpha=weight)
    return fused
