"""One α a search: the best point of a grid, then the optimum beside it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.tilt import Bend, Tilt, bend

STEPS = 8
"""Newton steps of a refinement, or halvings of two grid steps where Newton's would leave them."""

CLOSE = 1e-7
"""A step this short ends all refinements."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What KL(P̃ ‖ P) and KL(P ‖ P̃) are to come near, in nats: (searches,) each."""

    there: Tensor
    back: Tensor

    def repeated(self, times: int) -> Aim:
        """Each row's aim for several searches in turn."""
        return Aim(self.there.repeat_interleave(times), self.back.repeat_interleave(times))


@dataclass(frozen=True, slots=True)
class Found:
    """Of each search, (searches,): α, the distance √F it leaves, the largest B met."""

    alpha: Tensor
    distance: Tensor
    bound: Tensor


@dataclass(frozen=True, slots=True)
class Miss:
    """F and its slopes at some α, each (searches, points)."""

    value: Tensor
    first: Tensor
    second: Tensor


def refined(tilt: Tilt, aim: Aim, grid: Sequence[float]) -> Found:
    """The best α between the ends of ``grid``: never worse than its points, but for ``bound``."""
    points = tilt.slope.new_tensor(grid)
    everywhere = points.expand(len(tilt.slope), -1)
    scanned = bend(tilt, everywhere, torch.float32)
    best = missed(tilt, aim, everywhere, scanned).value.argmin(1)
    low = points[(best - 1).clamp(min=0)]
    high = points[(best + 1).clamp(max=len(points) - 1)]
    alpha, value, bound = descended(tilt, aim, points[best], low, high)
    return Found(alpha, value.sqrt(), torch.maximum(bound, scanned.bound.amax(1)))


def descended(
    tilt: Tilt, aim: Aim, alpha: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest point between ``low`` and ``high``, by Newton's steps kept between them.

    Returns α, F there and the bound there.  F at ``alpha`` must be no higher than at both ends, as
    at the best point of a grid; then F' tells on which side a minimum lies, and the ends close in.
    """
    found, lowest, bound = alpha, torch.full_like(alpha, torch.inf), torch.zeros_like(alpha)
    for _ in range(STEPS):
        at = alpha[:, None]
        bent = bend(tilt, at)
        miss = missed(tilt, aim, at, bent)
        value, slope, curvature = miss.value[:, 0], miss.first[:, 0], miss.second[:, 0]
        better = value < lowest
        found, lowest = torch.where(better, alpha, found), torch.where(better, value, lowest)
        bound = torch.where(better, bent.bound[:, 0], bound)
        low, high = torch.where(slope < 0, alpha, low), torch.where(slope > 0, alpha, high)
        step = alpha - slope / curvature
        inside = (curvature > 0) & (step >= low) & (step <= high)
        following = torch.where(inside, step, 0.5 * (low + high))
        if bool(((following - alpha).abs() < CLOSE).all()):
            break
        alpha = following
    return found, lowest, bound


def missed(tilt: Tilt, aim: Aim, alpha: Tensor, bent: Bend) -> Miss:
    """How far the divergences at ``alpha`` (searches, points) are from what is aimed at."""
    there = alpha * bent.first - bent.value - aim.there[:, None]
    back = bent.value - alpha * tilt.slope[:, None] - aim.back[:, None]
    there_first, back_first = alpha * bent.second, bent.first - tilt.slope[:, None]
    there_second, back_second = bent.second + alpha * bent.third, bent.second
    return Miss(
        value=there**2 + back**2,
        first=2.0 * (there * there_first + back * back_first),
        second=2.0 * (there_first**2 + there * there_second + back_first**2 + back * back_second),
    )
