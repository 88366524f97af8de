"""Fused logits out of a large model's and its small companions', for a whole batch at once.

Pure: it is given logits and a mode, and knows nothing of models, tokenizers, requests or vLLM.
``modes`` says which modes there are, ``arithmetic`` has their formulas, ``search`` finds α.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion import arithmetic, search
from aggregator.fusion.masks import Rows, excluded, levelled, shared_rows
from aggregator.fusion.modes import Contrast, Dynamic, LogLinear, Mode, Static, check_parts
from coterie.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Fused:
    """``logits`` (rows, V) float32; ``alpha`` (rows, experts) float32: how far each expert pulled.

    For log-linear mixtures ``alpha`` holds the experts' weights; for contrast it has no columns.
    """

    logits: Tensor
    alpha: Tensor


def fuse(
    large: Tensor,
    base: Tensor | None,
    experts: Tensor,
    mode: Mode,
    *,
    out: Tensor | None = None,
) -> Fused:
    """The batch fused; every row by itself, whatever rows are beside it.

    ``large``: (rows, V) float32, with −inf where a mask has excluded a token: it stays excluded.
    ``base``: (rows, V'), the small base's, or the amateur's for ``Contrast``; None is allowed for
    ``LogLinear``, which does not ask it.  ``experts``: (experts, rows, V''), (0, rows, V'') for
    ``Contrast``.  V, V' and V'' may differ by padding: what is beyond the shortest gets −inf.

    ``out``: (rows, V) float32 for the result, which may be ``large`` itself; without it nothing
    that is given is written to.  A row whose tokens are all excluded by one model or another stays
    the large model's.  ConfigurationError where mode and experts do not fit together.
    """
    check_parts(mode, experts=len(experts))
    if base is None and not isinstance(mode, LogLinear):
        raise ConfigurationError(
            f"fusion {mode.kind} wants the small base's logits; none were given"
        )
    with torch.no_grad():
        return fused(shared_rows(large, base, experts), large, mode, out)


def fused(rows: Rows, large: Tensor, mode: Mode, out: Tensor | None) -> Fused:
    """Parts that fit together, fused; ``large`` is as wide as it was given."""
    result = torch.empty_like(large, dtype=torch.float32) if out is None else out
    size = rows.large.shape[1]
    shape = (len(large), len(rows.experts))
    alpha = torch.empty(shape, dtype=torch.float32, device=large.device)
    if len(large):
        alpha[:] = alphas(rows, mode)
    for here in rows.slices():
        write(rows.part(here), mode, alpha[here], result[here, :size])
    result[:, size:] = -torch.inf
    return Fused(result, alpha)


def alphas(rows: Rows, mode: Mode) -> Tensor:
    """How far each expert pulls: (rows, experts), or what can be broadcast to it."""
    if isinstance(mode, Dynamic):
        return search.search(rows, mode)
    if isinstance(mode, Static):
        return torch.tensor(mode.alpha)
    if isinstance(mode, LogLinear):
        return torch.tensor(mode.weights[1:])
    return torch.ones(1)


def write(rows: Rows, mode: Mode, alpha: Tensor, out: Tensor) -> None:
    """Fused logits of a few rows into ``out`` (rows, V), which may be the large model's own."""
    hidden = excluded(rows)
    if hidden is None:
        apply(rows, mode, alpha, out)
        return
    own = rows.large.clone()
    apply(levelled(rows, hidden), mode, alpha, out)
    out.masked_fill_(hidden, -torch.inf)
    lost = hidden.all(1, keepdim=True)
    out.copy_(torch.where(lost, own, out))


def apply(rows: Rows, mode: Mode, alpha: Tensor, out: Tensor) -> None:
    """The mode's formula on rows in which every token counts."""
    if isinstance(mode, Contrast):
        out.copy_(arithmetic.contrasted(rows, mode.beta, mode.a))
    elif isinstance(mode, LogLinear):
        out.copy_(arithmetic.mixed(rows, mode.weights))
    else:
        arithmetic.shifted(rows, alpha, out)
