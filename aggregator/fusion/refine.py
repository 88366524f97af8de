"""From K at the points of a grid to the α that is best between them.  Pure.

Between two points K is the cubic that has the values and slopes found there.  With steps h of 0.1
it is off by at most h⁴ / 384 = 3·10⁻⁷ times the largest fourth cumulant of Δ under P̃ between them,
and its slope by h³ / (72 √3) = 8·10⁻⁶ times that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.divergences import Slopes

ZOOMS, ACROSS = 2, 65
"""How often a search closes in on the best of how many α: from two steps of 0.1 to 10⁻⁴."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What KL(P̃ ‖ P) and KL(P ‖ P̃) are to come near, in nats: (rows,), for any expert."""

    there: Tensor
    back: Tensor


def refined(found: Slopes, aim: Aim, grid: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The best α beside the best point of ``grid``, and √F there: (experts, rows) each."""
    points = found.value.new_tensor(grid)
    best = coarse(found, aim, points).argmin(2)
    low = points[(best - 1).clamp(min=0)]
    high = points[(best + 1).clamp(max=len(points) - 1)]
    for _ in range(ZOOMS):
        tried = low[..., None] + (high - low)[..., None] * torch.linspace(0.0, 1.0, ACROSS).to(low)
        value, slope = between(points, found, tried)
        left, at = distance(tried, value, slope, found.start, aim).min(2)
        step = (high - low) / (ACROSS - 1)
        alpha = tried.gather(2, at[..., None])[..., 0]
        low, high = torch.maximum(low, alpha - step), torch.minimum(high, alpha + step)
    return alpha, left


def coarse(found: Slopes, aim: Aim, points: Tensor) -> Tensor:
    """√F at the points of the grid: (experts, rows, points)."""
    return distance(points, found.value, found.slope, found.start, aim)


def distance(alpha: Tensor, value: Tensor, slope: Tensor, start: Tensor, aim: Aim) -> Tensor:
    """√F at ``alpha`` (experts, rows, α) with K and K' there and K'(0); infinite if unknown."""
    ahead = alpha * slope - value - aim.there[:, None]
    behind = value - alpha * start[..., None] - aim.back[:, None]
    return torch.hypot(ahead, behind).nan_to_num(nan=torch.inf)


def between(points: Tensor, found: Slopes, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """K and K' at ``alpha`` (experts, rows, α) by the cubics between the points."""
    left = (torch.searchsorted(points, alpha.contiguous()) - 1).clamp(0, len(points) - 2)
    step = points[left + 1] - points[left]
    part = (alpha - points[left]) / step
    before, after = found.value.gather(2, left), found.value.gather(2, left + 1)
    rise = step * found.slope.gather(2, left)
    end_rise = step * found.slope.gather(2, left + 1)
    # Hermite's cubic c0 + c1 x + c2 x² + c3 x³ for x from 0 to 1.
    second = 3.0 * (after - before) - 2.0 * rise - end_rise
    third = 2.0 * (before - after) + rise + end_rise
    value = before + part * (rise + part * (second + part * third))
    slope = (rise + part * (2.0 * second + 3.0 * part * third)) / step
    return value, slope
