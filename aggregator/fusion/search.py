"""α for every row: the published grid, and the optimum beside its best point.  Pure.

The objective of arXiv 2406.15480 (section 3), summed over the experts u that are aimed at,

    F(α) = Σ_u ( KL(P̃ ‖ P) − KL(Q_u ‖ Q) )² + ( KL(P ‖ P̃) − KL(Q ‖ Q_u) )²,

is up to a factor and a constant the squared distance from the *means* of what is aimed at: P̃ is the
same in every term.  So one distance is minimised, for each expert alone (the others' α are 0), and
the expert that comes nearest is the one that pulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from aggregator.fusion import grid, joint
from aggregator.fusion.divergences import Room, Slopes, looked_at, opinions, slopes
from aggregator.fusion.masks import Rows, excluded, levelled
from aggregator.fusion.modes import Dynamic
from aggregator.fusion.refine import Aim, coarse, distance, refined


def search(rows: Rows, mode: Dynamic) -> Tensor:
    """α, (rows, experts)."""
    slices = rows.slices()
    if mode.solver == "grid":
        return torch.cat([grid.search(levelled_part(rows, here), mode) for here in slices])
    room = Room.of(rows.part(slices[0]))
    if mode.solver == "joint" and len(rows.experts) > 1:
        parts = (levelled_part(rows, here) for here in slices)
        return torch.cat([together(part, mode, room) for part in parts])
    if mode.solver == "leading" and len(rows.experts) > 1:
        parts = (levelled_part(rows, here) for here in slices)
        return torch.cat([followed(part, mode, room) for part in parts])
    return alone([levelled_part(rows, here) for here in slices], mode, room)


def levelled_part(rows: Rows, here: slice) -> Rows:
    """Some rows, in which every token counts."""
    part = rows.part(here)
    hidden = excluded(part)
    return part if hidden is None else levelled(part, hidden)


def alone(parts: Sequence[Rows], mode: Dynamic, room: Room) -> Tensor:
    """α (rows, experts) of the expert that comes nearest, 0 for the others; the first of equals.

    The vocabulary is passed over part by part, since a part fits a cache: for the grid's points,
    then once more at the α found between them, which is taken where it is nearer than the points.
    """
    found, aim = asked(parts, mode, room)
    points = found.value.new_tensor(mode.grid)
    left, point = coarse(found, aim, points).min(2)
    fine, estimate = refined(found, aim, mode.grid)
    expert, alpha = nearest(fine, estimate)
    true = reached(parts, found, aim, expert, alpha, room.log_q)
    grid_expert, grid_alpha = nearest(points[point], left)
    kept = true <= left.amin(0)
    expert = torch.where(kept, expert, grid_expert)
    alpha = torch.where(kept, alpha, grid_alpha)
    return torch.zeros_like(fine).scatter_(0, expert[None], alpha[None]).T


def asked(parts: Sequence[Rows], mode: Dynamic, room: Room) -> tuple[Slopes, Aim]:
    """What a search goes by: K at the grid's points, and the aims."""
    found, there, back = [], [], []
    for part in parts:
        known = opinions(part, mode.high, room)
        found.append(slopes(known, mode.grid))
        there.append(known.there.mean(0))
        back.append(known.back.mean(0))
    columns = ([getattr(each, field.name) for each in found] for field in fields(Slopes))
    return Slopes(*(torch.cat(column, dim=1) for column in columns)), Aim(
        torch.cat(there), torch.cat(back)
    )


def nearest(alpha: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """The expert with the least distance and its α, (rows,) each, of (experts, rows)."""
    expert = left.argmin(0)
    return expert, alpha.gather(0, expert[None])[0]


def reached(
    parts: Sequence[Rows], found: Slopes, aim: Aim, expert: Tensor, alpha: Tensor, weight: Tensor
) -> Tensor:
    """√F where one expert pulls by ``alpha``, (rows,), looked at over the whole vocabulary."""
    sizes = [len(part.large) for part in parts]
    each = zip(parts, expert.split(sizes), alpha.split(sizes), strict=True)
    sums = [looked_at(part, who, much, weight) for part, who, much in each]
    value, slope = (torch.cat(column) for column in zip(*sums, strict=True))
    level, lean, start = (
        one.gather(0, expert[None])[0] for one in (found.level, found.lean, found.start)
    )
    value, slope = value - alpha * lean - level, slope - lean
    return distance(alpha[:, None], value[:, None], slope[:, None], start, aim)[:, 0]


def together(rows: Rows, mode: Dynamic, room: Room) -> Tensor:
    """α (rows, experts) with every expert pulling."""
    single = alone([rows], mode, room)
    known = opinions(rows, mode.high, room)
    aim = Aim(known.there.mean(0), known.back.mean(0))
    return joint.solved(known, aim, single, mode.high)


def followed(rows: Rows, mode: Dynamic, room: Room) -> Tensor:
    """α (rows, experts) where only the leading expert pulls, and its divergences are aimed at.

    It leads whose KL(Q_t ‖ Q) + KL(Q ‖ Q_t) is the greatest; the first of equals.  Ours: with the
    means that are published, experts that have nothing to say take aim from the one that has.
    """
    known = opinions(rows, mode.high, room)
    leader = (known.there + known.back).argmax(0)
    steps = torch.arange(len(leader), device=leader.device)
    only = Rows(rows.large, rows.base, rows.experts[leader, steps][None])
    alpha = alone([only], mode, Room.of(only))
    found = alpha.new_zeros((len(leader), len(rows.experts)))
    return found.scatter_(1, leader[:, None], alpha)
