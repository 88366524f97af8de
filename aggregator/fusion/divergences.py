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
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aggregator.fusion.masks import Rows


@dataclass(frozen=True, slots=True)
class Opinions:
    """What a search asks of some rows, and what it aims at.

    ``log_p`` (rows, V) is log P but for a constant; ``delta`` (experts, rows, V) is Δ but for one,
    chosen so that no exp(log_p + α Δ) overflows between 0 and the far end of the search.
    Divergences do not see constants.  ``there``, KL(Q_t ‖ Q), and ``back``, KL(Q ‖ Q_t), are in
    nats: (experts, rows) float64.  The constants: ``top`` (rows,) was taken from the large model's
    logits, ``lean`` (experts, rows) from Δ.  ``weight`` (rows, V) is memory to be written over.
    """

    log_p: Tensor
    delta: Tensor
    there: Tensor
    back: Tensor
    top: Tensor
    lean: Tensor
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

    A point that no best α can lie at has not been looked at, and holds NaN.  They are those of
    logits and Δ lowered by ``level`` and ``lean``, (experts, rows).
    """

    value: Tensor
    slope: Tensor
    start: Tensor
    level: Tensor
    lean: Tensor


Numbers: TypeAlias = NDArray[np.float64]

STEEP = 60.0
"""Exponents up to here leave float32 a sum over any vocabulary."""


def opinions(rows: Rows, high: float, room: Room) -> Opinions:
    """Prepares a search from 0 to ``high``; every token must count (``masks.levelled``)."""
    room = room.part(len(rows.large))
    tops = [each.amax(-1, keepdim=True) for each in (rows.large, rows.base, rows.experts)]
    log_p = torch.sub(rows.large, tops[0], out=room.log_p)
    log_q = torch.sub(rows.base, tops[1], out=room.log_q)
    tuned = torch.sub(rows.experts, tops[2], out=room.tuned)
    delta = torch.sub(tuned, log_q, out=room.delta)
    offset = tamed(log_p, delta, high)

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
        top=tops[0][:, 0].double(),
        lean=(tops[2] - tops[1] + offset)[:, :, 0].double(),
        weight=base,
    )


def tamed(log_p: Tensor, delta: Tensor, high: float) -> Tensor:
    """Lowers Δ where exp(log_p + high Δ) might overflow; returns by how much, (experts, rows, 1).

    As log_p ≤ 0, and log_p + high Δ ≤ 0 once it is lowered, all that lies between is.
    """
    offset = delta.amax(2, keepdim=True)
    wild = high * offset > STEEP
    if not bool(wild.any()):
        return offset.zero_()
    far = torch.add(log_p, delta, alpha=high).amax(2, keepdim=True)
    offset = torch.where(wild, far / high, 0.0)
    delta.sub_(offset)
    return offset


def slopes(asked: Opinions, points: Sequence[float]) -> Slopes:
    """K and K' at rising ``points``: those that the best α of some row may lie between.

    What is aimed at are the means over the experts.  The walk begins at α = 1, where the best
    mostly is, and goes up until both divergences are past their aims in every row, then down until
    both are short of them: beyond, every point is farther off.
    """
    walks = [Walk(asked, delta, points) for delta in asked.delta]
    for walk in walks:
        walk.go()
    columns = (
        np.stack([getattr(walk, name) for walk in walks])
        for name in ("value", "slope", "start", "mass")
    )
    value, slope, start, mass = (torch.from_numpy(each).to(asked.lean) for each in columns)
    return Slopes(value, slope, start, mass.log() + asked.top, asked.lean)


class Walk:
    """One expert's K and K', (rows, points) each, found point by point; K'(0) (rows,).

    In NumPy, which is quick with a few numbers: there are more steps here than passes over logits.
    """

    def __init__(self, asked: Opinions, delta: Tensor, points: Sequence[float]) -> None:
        self.asked, self.delta, self.points = asked, delta, points
        self.aims = torch.stack((asked.there.mean(0), asked.back.mean(0))).cpu().numpy()
        self.mass, self.start = self.weigh(0.0)
        self.value = np.full((len(self.mass), len(points)), np.nan)
        self.slope = np.full_like(self.value, np.nan)

    def go(self) -> None:
        """From the middle up, as long as a row is not past both aims; then down, likewise."""
        middle = min(range(len(self.points)), key=lambda index: abs(self.points[index] - 1.0))
        past, short = self.look(middle)
        for index in range(middle + 1, len(self.points)):
            past = past or self.look(index)[0]
        for index in range(middle - 1, -1, -1):
            short = short or self.look(index)[1]

    def look(self, index: int) -> tuple[bool, bool]:
        """Whether every row is past both aims at a point, and whether each is short of both."""
        alpha = self.points[index]
        total, slope = self.weigh(alpha)
        with np.errstate(divide="ignore"):
            value = np.log(total / self.mass)
        self.value[:, index], self.slope[:, index] = value, slope
        missed = (alpha * slope - value, value - alpha * self.start) - self.aims
        return bool((missed > 0.0).all()), bool((missed < 0.0).all())

    def weigh(self, alpha: float) -> tuple[Numbers, Numbers]:
        """Σ exp(log_p + α Δ) over the vocabulary, and the mean of Δ under it: (rows,) each."""
        weight = self.asked.weight
        torch.add(self.asked.log_p, self.delta, alpha=alpha, out=weight).exp_()
        total = weight.sum(1).cpu().numpy().astype(np.float64)
        with np.errstate(invalid="ignore"):  # a row without weight has no mean
            return total, inner(weight, self.delta).cpu().numpy() / total


def looked_at(rows: Rows, expert: Tensor, alpha: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """log Σ exp(z_L + α Δ) and the mean of Δ there, (rows,) float64; nothing is taken from either.

    ``expert`` and ``alpha`` (rows,): whose Δ and how much of it; ``weight`` is written over.
    """
    steps = torch.arange(len(expert), device=expert.device)
    only = len(expert) == 1
    spoken = rows.experts[int(expert)] if only else rows.experts[expert, steps]
    delta = spoken - rows.base
    fused = torch.addcmul(rows.large, delta, alpha[:, None].to(delta), out=weight[: len(expert)])
    top = fused.amax(1, keepdim=True)
    total = fused.sub_(top).exp_().sum(1).double()
    return total.log() + top[:, 0].double(), inner(fused, delta) / total


def inner(one: Tensor, other: Tensor) -> Tensor:
    """Σ one · other over the vocabulary: (rows,) float64 of two (rows, V)."""
    if len(one) == 1:
        return torch.dot(one[0], other[0]).double()[None]
    return torch.bmm(one[:, None], other[:, :, None])[:, 0, 0].double()
