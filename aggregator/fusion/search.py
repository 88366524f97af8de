"""α for every row: the published grid, and the optimum beside its best point.  Pure.

The objective of arXiv 2406.15480 (section 3), summed over the experts u that are aimed at,

    F(α) = Σ_u ( KL(P̃ ‖ P) − KL(Q_u ‖ Q) )² + ( KL(P ‖ P̃) − KL(Q ‖ Q_u) )²,

is up to a factor and a constant the squared distance from the *means* of what is aimed at: P̃ is the
same in every term.  So one distance is minimised, for each expert alone (the others' α are 0), and
the expert that comes nearest is the one that pulls.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from aggregator.fusion import grid, joint
from aggregator.fusion.divergences import Totals, joined, measured
from aggregator.fusion.masks import Rows, excluded, levelled
from aggregator.fusion.modes import Dynamic
from aggregator.fusion.refine import Aim, refined
from aggregator.fusion.tilt import tilted

REACH = 12.0
"""Nats below the best token at which a token is left to the rest."""

TOGETHER = 1 << 22
"""Exponentials of a scan that are held at once."""


def search(rows: Rows, mode: Dynamic) -> Tensor:
    """α, (rows, experts)."""
    if mode.solver == "grid":
        return torch.cat([grid.search(levelled_part(rows, here), mode) for here in rows.slices()])
    reach = REACH if mode.tail > 0.0 else torch.inf
    alpha, bound = narrowed(rows, mode, reach)
    wide = (bound > mode.tail).nonzero()[:, 0]
    if mode.tail > 0.0 and len(wide):
        alpha[wide] = narrowed(rows.pick(wide), mode, torch.inf)[0]
    return alpha


def levelled_part(rows: Rows, here: slice) -> Rows:
    """Some rows, in which every token counts."""
    part = rows.part(here)
    hidden = excluded(part)
    return part if hidden is None else levelled(part, hidden)


def narrowed(rows: Rows, mode: Dynamic, reach: float) -> tuple[Tensor, Tensor]:
    """α (rows, experts) and the bound (rows,) of a search among the tokens within ``reach``."""
    parts = [measured(levelled_part(rows, here), mode.high, reach) for here in rows.slices()]
    totals, support = joined(parts)
    alpha = torch.zeros_like(totals.there)
    bound = torch.zeros_like(totals.weight)
    for group in alike(support.counts, points=len(mode.grid) * len(rows.experts)):
        alpha[group], bound[group] = solved(totals.pick(group), *support.pick(group), mode)
    return alpha, bound


def solved(totals: Totals, log_p: Tensor, delta: Tensor, mode: Dynamic) -> tuple[Tensor, Tensor]:
    """α and the bound of rows with ``log_p`` (rows, K) and ``delta`` (rows, experts, K)."""
    rows, experts, size = delta.shape
    log_p = log_p.double() - totals.weight[:, None]
    delta = delta.double() - totals.offset[:, :, None]
    tilt = tilted(
        log_p.repeat_interleave(experts, 0),
        delta.reshape(-1, size),
        totals.slope.reshape(-1),
        totals.far_slope.reshape(-1),
        mode.high,
    )
    aim = Aim(totals.there.mean(1), totals.back.mean(1))
    found = refined(tilt, aim.repeated(experts), mode.grid)
    bound = found.bound.reshape(rows, experts).amax(1)
    alpha = nearest(found.alpha.reshape(rows, experts), found.distance.reshape(rows, experts))
    if mode.solver == "joint":
        alpha = joint.solved(joint.Field.of(tilt, log_p, delta), aim, alpha)
    return alpha, bound


def nearest(alpha: Tensor, distance: Tensor) -> Tensor:
    """The α of the expert that comes nearest, 0 for the others; the first of equals."""
    best = distance.argmin(1, keepdim=True)
    return torch.zeros_like(alpha).scatter_(1, best, alpha.gather(1, best))


def alike(counts: Tensor, points: int) -> Iterator[Tensor]:
    """Rows in groups with about as many tokens each, so that padding them to one length is cheap.

    ``points`` is how many exponentials a search takes of each token at once.
    """
    sizes = counts.clamp(min=1).cpu()
    level = sizes.double().log2().div(2.0).ceil()
    for each in level.unique():
        group = (level == each).nonzero()[:, 0]
        room = TOGETHER // (points * int(sizes[group].max()))
        yield from group.to(counts.device).split(max(1, room))
