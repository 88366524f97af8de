"""All experts pull at once: an α for each, their sum at most ``high``.  Ours, not published.  Pure.

With K(α) = log E_P[exp(Σ_t α_t Δ_t)], its gradient g and Hessian H, the two divergences are

    KL(P̃ ‖ P) = α·g − K, with gradient H α        KL(P ‖ P̃) = K − α·g(0), with gradient g − g(0)

and the objective is the squared length of two residuals, whatever the number of experts.  With more
than one there mostly is a whole curve of α that leaves nothing: steps are the shortest ones (damped
Gauss-Newton), from where all experts pull alike, so that none is preferred by its place in a list.
Where that ends higher than the best single expert, the single expert is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.divergences import Opinions
from aggregator.fusion.refine import Aim

STEPS = 12
"""Damped steps at most."""

CLOSE = 1e-9
"""An objective (nats²) so small that no step is worth it."""

EQUAL = 1e-6
"""Objectives (nats²) that differ by less are as good as each other: rounding decides nothing."""


@dataclass(frozen=True, slots=True)
class Stand:
    """At some α: residuals (rows, 2), their Jacobian (rows, 2, experts), the objective (rows,)."""

    residual: Tensor
    jacobian: Tensor
    value: Tensor


@dataclass(frozen=True, slots=True)
class Field:
    """Rows in which all experts pull; ``delta`` (rows, experts, V); K's parts at 0."""

    log_p: Tensor
    delta: Tensor
    total: Tensor
    start: Tensor
    aim: Aim


def solved(known: Opinions, aim: Aim, single: Tensor, high: float) -> Tensor:
    """α (rows, experts), given the best with one expert alone."""
    delta = known.delta.transpose(0, 1)
    weight = known.log_p.exp()
    total = weight.sum(1).double()
    start = (delta @ weight[:, :, None])[:, :, 0].double() / total[:, None]
    field = Field(known.log_p, delta, total, start, aim)
    alpha, left = descended(field, torch.full_like(single, 0.5 * high / single.shape[1]), high)
    worse = left > stand(field, single).value + EQUAL
    return torch.where(worse[:, None], single, alpha)


def descended(field: Field, alpha: Tensor, high: float) -> tuple[Tensor, Tensor]:
    """Where damped steps from ``alpha`` lead, and the objective there."""
    at = stand(field, alpha)
    damping = torch.full_like(at.value, 1e-3)
    for _ in range(STEPS):
        if bool((at.value < CLOSE).all()):
            break
        tried = within(alpha - shortest(at, damping), high)
        there = stand(field, tried)
        # A row that has arrived stays, whatever rows are beside it.
        better = (there.value < at.value) & (at.value >= CLOSE)
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


def stand(field: Field, alpha: Tensor) -> Stand:
    """Residuals and their slopes at ``alpha`` (rows, experts)."""
    pull = alpha.to(field.delta)[:, None]
    # No exponent overflows: each lies between those at α = 0 and at the far ends of the experts.
    weight = torch.baddbmm(field.log_p[:, None], pull, field.delta)[:, 0].exp_()
    total = weight.sum(1).double()[:, None]
    drawn = field.delta * weight[:, None]
    gradient = drawn.sum(2).double() / total
    second = (drawn @ field.delta.transpose(1, 2)).double() / total[..., None]
    hessian = second - gradient[:, :, None] * gradient[:, None]
    value = (total[:, 0] / field.total).log()
    there = (alpha * gradient).sum(1) - value - field.aim.there
    back = value - (alpha * field.start).sum(1) - field.aim.back
    jacobian = torch.stack(((hessian @ alpha[:, :, None])[:, :, 0], gradient - field.start), dim=1)
    objective = (there**2 + back**2).nan_to_num(nan=torch.inf)
    return Stand(torch.stack((there, back), dim=1), jacobian, objective)


def chosen(which: Tensor, one: Stand, other: Stand) -> Stand:
    """``one`` in the rows of ``which``, else ``other``."""
    return Stand(
        torch.where(which[:, None], one.residual, other.residual),
        torch.where(which[:, None, None], one.jacobian, other.jacobian),
        torch.where(which, one.value, other.value),
    )
