"""P tilted towards small experts, P_α ∝ P · exp(Σ_t α_t Δ_t), on the tokens that matter.

What the other tokens hold together, their weight t(α) = Σ_rest P exp(α Δ), is known exactly at both
ends of the search, with its slope.  Between them log t is convex (Hölder's inequality), so

    t(α) ≤ U(α) = t(0)^(1 − α/h) · t(h)^(α/h)                                     h = the far end

and t' lies between t'(0) and t'(h).  The estimate t̂ is U lowered by the parabola that has the mean
curvature of the two slopes; as it is never above U, with A the weight of the tokens looked at,

    |K − K̂| ≤ U / A        |K' − K̂'| ≤ ( max(|t'(h) − t̂'|, |t̂' − t'(0)|) + |K̂'| U ) / A

and KL(P̃ ‖ P), KL(P ‖ P̃) are wrong by at most B(α) = |K − K̂| + α |K' − K̂'|.  A point found by
minimising the distance √F of (KL(P̃ ‖ P), KL(P ‖ P̃)) from what is aimed at is then at most
2 √2 max B farther from it than the best of the points that were looked at.  Derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NOISE = 2e-6
"""What sums of float32 cannot tell from 0, of a total of 1: no rest is taken to weigh less."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The tokens that are not looked at; (searches,) float64 each, but for ``high``."""

    near: Tensor
    """log t(0)"""
    far: Tensor
    """log t(h)"""
    near_slope: Tensor
    """t'(0)"""
    far_slope: Tensor
    """t'(h)"""
    curvature: Tensor
    """The mean second derivative of log t."""
    held: Tensor
    """1 where there is more than noise, else 0."""
    high: float
    """h"""


@dataclass(frozen=True, slots=True)
class Tilt:
    """Searches along one direction each.

    ``log_p`` and ``delta`` (searches, K); ``log_p`` is −inf where a row has fewer tokens than K.
    ``slope`` (searches,) is K'(0) over the whole vocabulary.
    """

    log_p: Tensor
    delta: Tensor
    slope: Tensor
    rest: Rest


@dataclass(frozen=True, slots=True)
class Bend:
    """K and its first three slopes at some α, and B(α); each (searches, α of a search), float64."""

    value: Tensor
    first: Tensor
    second: Tensor
    third: Tensor
    bound: Tensor


def tilted(log_p: Tensor, delta: Tensor, slope: Tensor, far_slope: Tensor, high: float) -> Tilt:
    """The searches, with what the tokens of ``log_p`` and ``delta`` leave to the rest.

    ``slope`` and ``far_slope`` (searches,): K' at 0 and ``high`` over the whole vocabulary, where
    the total is 1 at both.
    """
    near, near_slope = left(log_p, delta, slope)
    far, end_slope = left(log_p + high * delta, delta, far_slope)
    bend = (end_slope / far - near_slope / near).clamp(min=0.0) / high
    held = ((near > NOISE) & (far > NOISE)).double()
    rest = Rest(near.log(), far.log(), near_slope, end_slope, bend, held, high)
    return Tilt(log_p, delta, slope, rest)


def left(log_weight: Tensor, delta: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """What is missing from a total of 1, at least NOISE, and from the mean of Δ."""
    weight = log_weight.exp()
    return (1.0 - weight.sum(1)).clamp(min=NOISE), mean - (weight * delta).sum(1)


def bend(tilt: Tilt, alpha: Tensor, dtype: torch.dtype = torch.float64) -> Bend:
    """K at ``alpha`` (searches, points), its exponentials taken in ``dtype``."""
    log_p, delta = tilt.log_p.to(dtype), tilt.delta.to(dtype)
    powers = torch.stack((torch.ones_like(delta), delta, delta**2, delta**3), dim=2)
    weight = alpha.to(dtype)[:, :, None] * delta[:, None]
    weight.add_(log_p[:, None]).exp_()
    sums = torch.bmm(weight, powers).double()
    rest = lumped(tilt.rest, alpha)
    total = (sums + rest)[:, :, :1]
    first, second, third = ((sums + rest) / total).unbind(2)[1:]
    return Bend(
        value=total[:, :, 0].log(),
        first=first,
        second=(second - first**2).clamp(min=0.0),
        third=third - 3.0 * first * second + 2.0 * first**3,
        bound=bounded(tilt.rest, alpha, sums[:, :, 0], rest, first),
    )


def lumped(rest: Rest, alpha: Tensor) -> Tensor:
    """t̂ and its first three slopes at ``alpha``: (searches, points, 4)."""
    high, curvature = rest.high, rest.curvature[:, None]
    chord = (rest.far - rest.near)[:, None] / high
    log = rest.near[:, None] + chord * alpha - 0.5 * curvature * alpha * (high - alpha)
    slope = chord - 0.5 * curvature * (high - 2.0 * alpha)
    weight = log.exp() * rest.held[:, None]
    second = slope**2 + curvature
    third = slope**3 + 3.0 * slope * curvature
    return torch.stack((weight, weight * slope, weight * second, weight * third), dim=2)


def bounded(rest: Rest, alpha: Tensor, seen: Tensor, guess: Tensor, first: Tensor) -> Tensor:
    """B(α): how far off the divergences may be, in nats; ``seen`` is A."""
    share = alpha / rest.high
    most = (rest.near[:, None] * (1.0 - share) + rest.far[:, None] * share).exp()
    steep = torch.maximum(
        (rest.far_slope[:, None] - guess[:, :, 1]).abs(),
        (guess[:, :, 1] - rest.near_slope[:, None]).abs(),
    )
    return (most + alpha * (steep + first.abs() * most)) / seen
