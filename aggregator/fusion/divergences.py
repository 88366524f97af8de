"""The divergences that a search moves and those that it aims at, over the whole vocabulary.

With Δ_t = z_t − z_base and K_t(α) = log E_P[exp(α Δ_t)], the fused distribution
P̃ = softmax(z_L + α Δ_t) has

    KL(P̃ ‖ P) = α K_t'(α) − K_t(α)        KL(P ‖ P̃) = K_t(α) − α K_t'(0)

so the search needs K_t and its slope alone: one exponential and two sums for each α that is looked
at.  K_t is convex and K_t(0) = 0; both divergences rise with α ≥ 0, since their slopes are
α K_t''(α) and K_t'(α) − K_t'(0).  What is aimed at are the divergences of a small expert Q_t and
the small base Q: the same, with Q for P, at α = 1.

Derived here from the objective of arXiv 2406.15480, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aggregator.fusion.masks import Rows


@dataclass(frozen=True, slots=True)
class Opinions:
    """What a search asks of some rows, and what it aims at.

    ``log_p`` (rows, V) is log P but for a constant; ``delta`` (experts, rows, V) is Δ but for one,
    chosen so that no exp(log_p + α Δ) overflows between 0 and the far end of the search.
    Divergences do not see constants.  ``there``, KL(Q_t ‖ Q), and ``back``, KL(Q ‖ Q_t), are in
    nats: (experts, rows) float64.
    """

    log_p: Tensor
    delta: Tensor
    there: Tensor
    back: Tensor


@dataclass(frozen=True, slots=True)
class Slopes:
    """K and K' of each expert, (experts, rows, points) float64, and K'(0), (experts, rows).

    A point that no best α can lie at has not been looked at, and holds NaN.
    """

    value: Tensor
    slope: Tensor
    start: Tensor


LOOK_UP = 4
"""Points after which a search looks whether the rest can be left out."""


def opinions(rows: Rows, high: float) -> Opinions:
    """Prepares a search from 0 to ``high``; every token must count (``masks.levelled``)."""
    log_p = rows.large - rows.large.amax(1, keepdim=True)
    log_q = rows.base - rows.base.amax(1, keepdim=True)
    tuned = rows.experts - rows.experts.amax(2, keepdim=True)
    delta = tuned - log_q
    # log_p ≤ 0 and, after this, log_p + high Δ ≤ 0: hence all that lies between.
    offset = torch.add(log_p, delta, alpha=high).amax(2, keepdim=True) / high
    delta.sub_(offset)

    base, tuned = log_q.exp_(), tuned.exp_()
    base_total, tuned_total = base.sum(1).double(), tuned.sum(2).double()
    base_mean = torch.stack([inner(base, each) for each in delta]) / base_total
    tuned_mean = torch.stack([inner(*pair) for pair in zip(tuned, delta, strict=True)])
    # log(Q_t / Q) = Δ − gain: its means under Q_t and Q are the divergences, but for the sign.
    gain = tuned_total.log() - base_total.log() - offset[:, :, 0].double()
    return Opinions(
        log_p=log_p,
        delta=delta,
        there=(tuned_mean / tuned_total - gain).clamp_(min=0.0),
        back=(gain - base_mean).clamp_(min=0.0),
    )


def slopes(asked: Opinions, points: Sequence[float]) -> Slopes:
    """K and K' at rising ``points``, from the first on until both divergences are past their aims.

    What is aimed at are the means over the experts.  Where both are passed in all rows, every point
    that follows is farther from them.
    """
    there, back = asked.there.mean(0), asked.back.mean(0)
    found = [followed(asked.log_p, each, points, there, back) for each in asked.delta]
    value, slope, start = (torch.stack(column) for column in zip(*found, strict=True))
    return Slopes(value, slope, start)


def followed(
    log_p: Tensor, delta: Tensor, points: Sequence[float], there: Tensor, back: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One expert's K and K' (rows, points), and K'(0) (rows,)."""
    weight = torch.empty_like(log_p)
    total, start = weighed(log_p, delta, 0.0, weight)
    value = total.new_full((len(total), len(points)), torch.nan)
    slope = torch.full_like(value, torch.nan)
    for index, point in enumerate(points):
        mass, mean = (total, start) if point == 0.0 else weighed(log_p, delta, point, weight)
        value[:, index], slope[:, index] = (mass / total).log_(), mean
        if index % LOOK_UP == LOOK_UP - 1:
            ahead, behind = point * mean - value[:, index], value[:, index] - point * start
            if bool(((ahead > there) & (behind > back)).all()):
                break
    return value, slope, start


def weighed(log_p: Tensor, delta: Tensor, alpha: float, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Σ exp(log_p + α Δ) and the mean of Δ under it, (rows,) float64; writes over ``weight``."""
    torch.add(log_p, delta, alpha=alpha, out=weight).exp_()
    total = weight.sum(1).double()
    return total, inner(weight, delta) / total


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Σ one · other over the vocabulary: (rows,) float64 of two (rows, V)."""
    return torch.bmm(one[:, None], other[:, :, None])[:, 0, 0].double()
