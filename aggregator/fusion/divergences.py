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
    nats: (experts, rows) float64.  ``weight`` (rows, V) is memory to be written over.
    """

    log_p: Tensor
    delta: Tensor
    there: Tensor
    back: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that one part of a batch after the other is worked on in.

    Fresh memory costs more than what is computed in it.  Opinions stay until the next are asked.
    """

    log_p: Tensor
    log_q: Tensor
    tuned: Tensor
    delta: Tensor

    @classmethod
    def of(cls, rows: Rows) -> Room:
        """Enough for these rows."""
        like = [torch.empty(each.shape, device=each.device) for each in (rows.large, rows.experts)]
        return cls(like[0], torch.empty_like(like[0]), like[1], torch.empty_like(like[1]))

    def part(self, rows: int) -> Room:
        """Enough for that many of its rows."""
        return Room(
            self.log_p[:rows], self.log_q[:rows], self.tuned[:, :rows], self.delta[:, :rows]
        )


@dataclass(frozen=True, slots=True)
class Slopes:
    """K and K' of each expert, (experts, rows, points) float64, and K'(0), (experts, rows).

    A point that no best α can lie at has not been looked at, and holds NaN.
    """

    value: Tensor
    slope: Tensor
    start: Tensor


def opinions(rows: Rows, high: float, room: Room) -> Opinions:
    """Prepares a search from 0 to ``high``; every token must count (``masks.levelled``)."""
    room = room.part(len(rows.large))
    log_p = torch.sub(rows.large, rows.large.amax(1, keepdim=True), out=room.log_p)
    log_q = torch.sub(rows.base, rows.base.amax(1, keepdim=True), out=room.log_q)
    tuned = torch.sub(rows.experts, rows.experts.amax(2, keepdim=True), out=room.tuned)
    # log_p ≤ 0 and log_p + high Δ ≤ 0 once Δ is lowered by the offset: hence all between is, too.
    far = torch.sub(tuned, log_q, out=room.delta).mul_(high).add_(log_p)
    offset = far.amax(2, keepdim=True) / high
    delta = torch.sub(tuned, log_q, out=room.delta).sub_(offset)

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
        weight=base,
    )


def slopes(asked: Opinions, points: Sequence[float]) -> Slopes:
    """K and K' at rising ``points``: those that the best α of some row may lie between.

    What is aimed at are the means over the experts.  The walk begins at α = 1, where the best
    mostly is, and goes up until both divergences are past their aims in every row, then down until
    both are short of them: beyond, every point is farther off.
    """
    found = [followed(asked, delta, points) for delta in asked.delta]
    value, slope, start = (torch.stack(column) for column in zip(*found, strict=True))
    return Slopes(value, slope, start)


def followed(
    asked: Opinions, delta: Tensor, points: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """One expert's K and K' (rows, points), and K'(0) (rows,)."""
    mass, start = weighed(asked, delta, 0.0)
    there, back = asked.there.mean(0), asked.back.mean(0)
    value = mass.new_full((len(mass), len(points)), torch.nan)
    slope = torch.full_like(value, torch.nan)

    def sides(index: int) -> tuple[bool, bool]:
        """Looks at a point: whether all rows are past both aims there, or short of both."""
        total, mean = weighed(asked, delta, points[index])
        height = (total / mass).log_()
        value[:, index], slope[:, index] = height, mean
        ahead = points[index] * mean - height - there
        behind = height - points[index] * start - back
        least, most = torch.stack((ahead, behind)).aminmax()
        return bool(least > 0.0), bool(most < 0.0)

    middle = min(range(len(points)), key=lambda index: abs(points[index] - 1.0))
    past, short = sides(middle)
    for index in range(middle + 1, len(points)):
        if past:
            break
        past, _ = sides(index)
    for index in range(middle - 1, -1, -1):
        if short:
            break
        _, short = sides(index)
    return value, slope, start


def weighed(asked: Opinions, delta: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Σ exp(log_p + α Δ) over the vocabulary, and the mean of Δ under it: (rows,) float64 each."""
    torch.add(asked.log_p, delta, alpha=alpha, out=asked.weight).exp_()
    total = asked.weight.sum(1).double()
    return total, inner(asked.weight, delta) / total


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Σ one · other over the vocabulary: (rows,) float64 of two (rows, V)."""
    if len(one) == 1:
        return torch.dot(one[0], other[0]).double()[None]
    return torch.bmm(one[:, None], other[:, :, None])[:, 0, 0].double()
