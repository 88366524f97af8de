"""α for every row: the published grid, and the optimum beside its best point.  Pure.

The objective of arXiv 2406.15480 (section 3), summed over the experts u that are aimed at,

    F(α) = Σ_u ( KL(P̃ ‖ P) − KL(Q_u ‖ Q) )² + ( KL(P ‖ P̃) − KL(Q ‖ Q_u) )²,

is up to a factor and a constant the squared distance from the *means* of what is aimed at: P̃ is the
same in every term.  So one distance is minimised, for each expert alone (the others' α are 0), and
the expert that comes nearest is the one that pulls.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aggregator.fusion import grid, joint
from aggregator.fusion.divergences import Room, Slopes, opinions, slopes
from aggregator.fusion.masks import Rows, excluded, levelled
from aggregator.fusion.modes import Dynamic
from aggregator.fusion.refine import Aim, refined


def search(rows: Rows, mode: Dynamic) -> Tensor:
    """α, (rows, experts)."""
    slices = rows.slices()
    parts = (levelled_part(rows, here) for here in slices)
    if mode.solver == "grid":
        return torch.cat([grid.search(part, mode) for part in parts])
    room = Room.of(rows.part(slices[0]))
    if mode.solver == "joint" and len(rows.experts) > 1:
        return torch.cat([together(part, mode, room) for part in parts])
    # The vocabulary is passed over part by part, which fits a cache; the rest is done once for all.
    found, aims = zip(*(asked(part, mode, room) for part in parts), strict=True)
    return alone(joined(found), Aim(*map(torch.cat, zip(*aims, strict=True))), mode)


def levelled_part(rows: Rows, here: slice) -> Rows:
    """Some rows, in which every token counts."""
    part = rows.part(here)
    hidden = excluded(part)
    return part if hidden is None else levelled(part, hidden)


def asked(rows: Rows, mode: Dynamic, room: Room) -> tuple[Slopes, tuple[Tensor, Tensor]]:
    """What a search of some rows goes by: K at the grid's points, and the two aims (rows,)."""
    known = opinions(rows, mode.high, room)
    return slopes(known, mode.grid), (known.there.mean(0), known.back.mean(0))


def joined(parts: tuple[Slopes, ...]) -> Slopes:
    """Several parts of a batch as one."""
    return Slopes(
        torch.cat([each.value for each in parts], dim=1),
        torch.cat([each.slope for each in parts], dim=1),
        torch.cat([each.start for each in parts], dim=1),
    )


def alone(found: Slopes, aim: Aim, mode: Dynamic) -> Tensor:
    """α (rows, experts) of the first expert that comes nearest, 0 for the others."""
    alpha, left = refined(found, aim, mode.grid)
    best = left.argmin(0, keepdim=True)
    return torch.zeros_like(alpha).scatter_(0, best, alpha.gather(0, best)).T


def together(rows: Rows, mode: Dynamic, room: Room) -> Tensor:
    """α (rows, experts) with every expert pulling."""
    known = opinions(rows, mode.high, room)
    aim = Aim(known.there.mean(0), known.back.mean(0))
    single = alone(slopes(known, mode.grid), aim, mode)
    return joint.solved(known, aim, single, mode.high)
