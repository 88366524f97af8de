"""All experts pull at once: an α for each, their sum at most ``high``.  Ours, not published.  Pure.

With K(α) = log E_P[exp(Σ_t α_t Δ_t)], its gradient g and Hessian H, the two divergences are

    KL(P̃ ‖ P) = α·g − K, with gradient H α        KL(P ‖ P̃) = K − α·g(0), with gradient g − g(0)

and the objective is the squared length of two residuals, whatever the number of experts.  With more
than one there mostly is a whole curve of α that leaves nothing: steps are the shortest ones (damped
Gauss-Newton), from where all experts pull alike, so that none is preferred by its place in a list.
Where that ends higher than what steps from the best single expert reach, the latter is taken: the
objective is never higher than the single expert's.

The rest of the vocabulary is estimated as in ``tilt``: exactly that along the experts' own
directions, and never above the convex bound between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.refine import Aim
from aggregator.fusion.tilt import Tilt

STEPS = 16
"""Damped steps from each start."""

EQUAL = 1e-8
"""Objectives (nats²) that differ by less are as good as each other."""


@dataclass(frozen=True, slots=True)
class Field:
    """``log_p`` (rows, K), ``delta`` (rows, experts, K), ``slope`` g(0) (rows, experts), float64.

    Of the rest: log t(0) and whether it counts, (rows,); the chord of log t and its curvature along
    each expert's direction, (rows, experts).
    """

    log_p: Tensor
    delta: Tensor
    slope: Tensor
    near: Tensor
    chord: Tensor
    curvature: Tensor
    held: Tensor
    high: float

    @classmethod
    def of(cls, tilt: Tilt, log_p: Tensor, delta: Tensor) -> Field:
        """The field in which the searches of ``tilt`` are the directions of its axes."""
        shape, rest = delta.shape[:2], tilt.rest
        near, far = rest.near.reshape(shape), rest.far.reshape(shape)
        return cls(
            log_p=log_p,
            delta=delta,
            slope=tilt.slope.reshape(shape),
            near=near[:, 0],
            chord=(far - near) / rest.high,
            curvature=rest.curvature.reshape(shape),
            held=rest.held.reshape(shape).amin(1),
            high=rest.high,
        )


@dataclass(frozen=True, slots=True)
class Stand:
    """At some α: residuals (rows, 2), their Jacobian (rows, 2, experts), the objective (rows,)."""

    residual: Tensor
    jacobian: Tensor
    value: Tensor


def solved(field: Field, aim: Aim, single: Tensor) -> Tensor:
    """α (rows, experts), given the best with one expert alone."""
    experts = single.shape[1]
    if experts == 1:
        return single
    even = torch.full_like(single, 0.5 * field.high / experts)
    alike, alike_left = descended(field, aim, even)
    alone, alone_left = descended(field, aim, single)
    return torch.where((alike_left <= alone_left + EQUAL)[:, None], alike, alone)


def descended(field: Field, aim: Aim, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Where damped steps from ``alpha`` lead, and the objective there."""
    at = stand(field, aim, alpha)
    damping = torch.full_like(at.value, 1e-3)
    for _ in range(STEPS):
        tried = within(alpha - shortest(at, damping), field.high)
        there = stand(field, aim, tried)
        better = there.value < at.value
        alpha = torch.where(better[:, None], tried, alpha)
        at = chosen(better, there, at)
        damping = torch.where(better, 0.1 * damping, 10.0 * damping).clamp(1e-12, 1e6)
    return alpha, at.value


def shortest(at: Stand, damping: Tensor) -> Tensor:
    """Jᵀ (J Jᵀ + λ I)⁻¹ r, the shortest step to where both residuals vanish: (rows, experts)."""
    square = at.jacobian @ at.jacobian.transpose(1, 2)
    scale = square.diagonal(dim1=1, dim2=2).sum(1) + 1e-12
    identity = torch.eye(2, dtype=square.dtype, device=square.device)
    square = square + (damping * scale)[:, None, None] * identity
    weights = torch.linalg.solve(square, at.residual[:, :, None])
    return (at.jacobian.transpose(1, 2) @ weights)[:, :, 0]


def within(alpha: Tensor, high: float) -> Tensor:
    """The nearest α with none below 0 and a sum of at most ``high``.

    Where the sum is too large, all are lowered by what makes it fit, none below 0 (Held, Wolfe and
    Crowder, 1974).
    """
    positive = alpha.clamp(min=0.0)
    ordered = positive.sort(1, descending=True).values
    count = torch.arange(1, alpha.shape[1] + 1, dtype=alpha.dtype, device=alpha.device)
    lowering = (ordered.cumsum(1) - high) / count
    kept = (ordered > lowering).sum(1, keepdim=True).clamp(min=1)
    fitting = (positive - lowering.gather(1, kept - 1)).clamp(min=0.0)
    return torch.where(positive.sum(1, keepdim=True) > high, fitting, positive)


def stand(field: Field, aim: Aim, alpha: Tensor) -> Stand:
    """Residuals and their slopes at ``alpha`` (rows, experts)."""
    weight = (field.log_p + (alpha[:, :, None] * field.delta).sum(1)).exp()
    drawn = field.delta * weight[:, None]
    rest, rest_slope = lumped(field, alpha)
    rest_bend = rest_slope[:, :, None] * rest_slope[:, None] + field.curvature.diag_embed()
    total = (weight.sum(1) + rest)[:, None]
    gradient = (drawn.sum(2) + rest[:, None] * rest_slope) / total
    second = (drawn @ field.delta.transpose(1, 2) + rest[:, None, None] * rest_bend) / total[
        ..., None
    ]
    hessian = second - gradient[:, :, None] * gradient[:, None]
    value = total[:, 0].log()
    there = (alpha * gradient).sum(1) - value - aim.there
    back = value - (alpha * field.slope).sum(1) - aim.back
    jacobian = torch.stack(((hessian @ alpha[:, :, None])[:, :, 0], gradient - field.slope), dim=1)
    return Stand(torch.stack((there, back), dim=1), jacobian, there**2 + back**2)


def lumped(field: Field, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """The estimated weight of the rest at ``alpha``, (rows,), and the slopes of its logarithm."""
    parabola = 0.5 * field.curvature * alpha * (field.high - alpha)
    log = field.near + (field.chord * alpha - parabola).sum(1)
    slope = field.chord - 0.5 * field.curvature * (field.high - 2.0 * alpha)
    return log.exp() * field.held, slope


def chosen(which: Tensor, one: Stand, other: Stand) -> Stand:
    """``one`` in the rows of ``which``, else ``other``."""
    return Stand(
        torch.where(which[:, None], one.residual, other.residual),
        torch.where(which[:, None, None], one.jacobian, other.jacobian),
        torch.where(which, one.value, other.value),
    )
