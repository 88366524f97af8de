"""The modes once more, spelled out as in the papers for one row: what the core is checked against.

Nothing is shared with the core but the modes themselves: probabilities are written out, α is tried
point by point, and every sum goes over the whole vocabulary in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from aggregator.fusion.modes import (
    Contrast,
    Dynamic,
    EmulatedFineTuning,
    LogLinear,
    Mode,
    Static,
)


def fuse_row(
    large: Tensor, base: Tensor, experts: Sequence[Tensor], mode: Mode
) -> tuple[Tensor, tuple[float, ...]]:
    """The fused logits (V,) float64, and α of each expert; a row is (V,) for every model.

    ``Dynamic`` takes the best point of ``mode.grid`` whatever its solver is, and with ``joint`` the
    best combination of them: a step of 0.001 makes it an oracle for refinements.
    """
    size = min(len(each) for each in (large, base, *experts))
    cut = [each[:size].double() for each in (large, base, *experts)]
    kept = torch.stack([each.isfinite() for each in cut]).all(0)
    if not kept.any():
        return large.double(), tuple(0.0 for _ in experts)
    few, alpha = fused(mode, *(each[kept] for each in cut))
    logits = torch.full_like(large, -torch.inf, dtype=torch.float64)
    logits[:size][kept] = few
    return logits, alpha


def fused(
    mode: Mode, large: Tensor, base: Tensor, *experts: Tensor
) -> tuple[Tensor, tuple[float, ...]]:
    """The mode's formula on tokens that all models have an opinion on."""
    match mode:
        case Dynamic():
            alpha = best(mode, large, base, experts)
        case Static():
            alpha = mode.alpha if len(mode.alpha) > 1 else mode.alpha * len(experts)
        case EmulatedFineTuning():
            tuned = sum(each.log_softmax(0) - base.log_softmax(0) for each in experts)
            return large.log_softmax(0) + tuned, tuple(1.0 for _ in experts)
        case Contrast():
            scores = (1.0 + mode.beta) * large - mode.beta * base
            least = math.log(mode.a) + large.max() if mode.a else -math.inf
            return torch.where(large < least, -torch.inf, scores), ()
        case LogLinear():
            terms = zip(mode.weights, (large, *experts), strict=True)
            mixture = sum(weight * each.log_softmax(0) for weight, each in terms)
            return torch.as_tensor(mixture), mode.weights[1:]
    return shifted(large, base, experts, alpha), alpha


def shifted(
    large: Tensor, base: Tensor, experts: Sequence[Tensor], alpha: Sequence[float]
) -> Tensor:
    """z_L + Σ_t α_t (z_t − z_base)."""
    pulls = (weight * (each - base) for weight, each in zip(alpha, experts, strict=True))
    return sum(pulls, start=large)


def best(
    mode: Dynamic, large: Tensor, base: Tensor, experts: Sequence[Tensor]
) -> tuple[float, ...]:
    """The α of least objective among those the mode may take; the first of equals."""
    if mode.solver == "leading":
        apart = [divergence(each, base) + divergence(base, each) for each in experts]
        leader = apart.index(max(apart))
        only = experts[leader : leader + 1]
        [alpha] = min(alone(mode, 1), key=lambda alpha: objective(large, base, only, alpha))
        return tuple(alpha if index == leader else 0.0 for index in range(len(experts)))
    tried = combined(mode, len(experts)) if mode.solver == "joint" else alone(mode, len(experts))
    return min(tried, key=lambda alpha: objective(large, base, experts, alpha))


def alone(mode: Dynamic, experts: int) -> Iterator[tuple[float, ...]]:
    """One expert at a time at every point of the grid, the others at 0."""
    for expert in range(experts):
        for point in mode.grid:
            yield tuple(point if index == expert else 0.0 for index in range(experts))


def combined(mode: Dynamic, experts: int) -> Iterator[tuple[float, ...]]:
    """All combinations of points with a sum of at most ``high``."""
    for alpha in itertools.product(mode.grid, repeat=experts):
        if sum(alpha) <= mode.high + 1e-9:
            yield alpha


def objective(
    large: Tensor, base: Tensor, experts: Sequence[Tensor], alpha: Sequence[float]
) -> float:
    """Σ_u (KL(P̃ ‖ P) − KL(Q_u ‖ Q))² + (KL(P ‖ P̃) − KL(Q ‖ Q_u))² (arXiv 2406.15480, section 3)."""
    tilted = shifted(large, base, experts, alpha)
    there, back = divergence(tilted, large), divergence(large, tilted)
    return sum(
        (there - divergence(each, base)) ** 2 + (back - divergence(base, each)) ** 2
        for each in experts
    )


def divergence(a: Tensor, b: Tensor) -> float:
    """KL(softmax(a) ‖ softmax(b)) in nats."""
    log_a, log_b = a.log_softmax(0), b.log_softmax(0)
    return float((log_a.exp() * (log_a - log_b)).sum())
