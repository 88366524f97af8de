"""Which tokens are fused at all, and how many rows at a time.

A token that one of the models excludes (by no finite number, or by one absurdly far below its best)
is excluded from the result, and from every probability that a search looks at: P, Q and Q_t are
distributions over the same tokens, and a grammar's mask on the large model's holds for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ABSURD = 1e4
"""Nats below a model's best token at which a logit is a mask and no opinion."""

MASKED = 1e8
"""A row's logits that add up to less are looked at one by one; so are those of one token masked by
−10⁹, while one alone at −10⁵ is a logit like others: it has no weight either way."""

CACHED = 1 << 18
"""Logits of one model that are worked on at once on a CPU: they stay in its cache."""

HELD = 1 << 27
"""The same on an accelerator, all models together: what it may hold beside them."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a batch: ``large`` and ``base`` (rows, V), ``experts`` (experts, rows, V)."""

    large: Tensor
    base: Tensor
    experts: Tensor

    def part(self, rows: slice) -> Rows:
        """Some of these rows, as views."""
        return Rows(self.large[rows], self.base[rows], self.experts[:, rows])

    def pick(self, rows: Tensor) -> Rows:
        """Some of these rows by their indices, as copies."""
        return Rows(self.large[rows], self.base[rows], self.experts[:, rows])

    def slices(self) -> list[slice]:
        """The rows in turn, as many at once as the device does well."""
        rows, size = self.large.shape
        room = CACHED if self.large.device.type == "cpu" else HELD // (len(self.experts) + 4)
        step = max(1, room // max(1, size))
        return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def shared_rows(large: Tensor, base: Tensor | None, experts: Tensor) -> Rows:
    """The batch cut to the tokens that all models have; float32 views where they are that already.

    Vocabularies are padded to sizes a device likes, each model's to its own.  Without a base the
    large model stands in for it, to be asked nothing.
    """
    given = [large, *([] if base is None else [base]), *experts]
    size = min(each.shape[-1] for each in given)
    large = large[:, :size].float()
    base = large if base is None else base[:, :size].float()
    return Rows(large, base, experts[:, :, :size].float())


def excluded(rows: Rows) -> Tensor | None:
    """The tokens that one of the models excludes, (rows, V) bool; None where there are none."""
    given = [rows.large, rows.base, *rows.experts]
    # A sum tells that all is well, as it nearly always is; what is no number makes it none.
    sums = torch.stack([each.sum(1) for each in given])
    if bool((sums.abs() < MASKED).all()):
        return None
    found = torch.zeros_like(rows.large, dtype=torch.bool)
    for each in given:
        known = each.isfinite()
        best = each.masked_fill(~known, -torch.inf).amax(1, keepdim=True)
        found |= ~(known & (each - best >= -ABSURD))
    return found


def levelled(rows: Rows, out: Tensor) -> Rows:
    """Copies in which the tokens ``out`` have no weight and the models do not differ on them.

    They lie ``ABSURD`` below the best of the others in every model; where a row has no others, its
    models agree on everything.
    """

    def level(logits: Tensor) -> Tensor:
        hidden = logits.masked_fill(out, -torch.inf)
        best = hidden.amax(-1, keepdim=True)
        best = torch.where(best.isfinite(), best, 0.0)
        return torch.where(out, best - ABSURD, logits)

    return Rows(level(rows.large), level(rows.base), level(rows.experts))
