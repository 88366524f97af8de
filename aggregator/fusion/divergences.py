"""What a search must know of a row before it looks at any α: exact sums over the whole vocabulary.

With Δ_t = z_t − z_base and K_t(α) = log E_P[exp(α Δ_t)], the fused distribution
P̃ = softmax(z_L + α Δ_t) has

    KL(P̃ ‖ P) = α K_t'(α) − K_t(α)        KL(P ‖ P̃) = K_t(α) − α K_t'(0)

so the search needs K_t and its slope alone.  K_t is convex and K_t(0) = 0; both divergences rise
with α ≥ 0, since their slopes are α K_t''(α) and K_t'(α) − K_t'(0).  The divergences that are aimed
at are those of a small expert Q_t and the small base Q: the same, with Q for P, at α = 1.

Derived here from the objective of arXiv 2406.15480, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from aggregator.fusion.masks import Rows


@dataclass(frozen=True, slots=True)
class Totals:
    """Of each row, over its whole vocabulary; float64, (rows, experts) where not said otherwise.

    Δ is measured from ``offset``, so that K_t is 0 at the far end of the search as it is at 0: in
    between it is at most 0, and no exponential of a search overflows.  Divergences do not see this.
    """

    there: Tensor
    """KL(Q_t ‖ Q), in nats."""
    back: Tensor
    """KL(Q ‖ Q_t), in nats."""
    weight: Tensor
    """(rows,): what log_p of ``Support`` must be lowered by to be P's log-probabilities."""
    offset: Tensor
    """What Δ of ``Support`` must be lowered by."""
    slope: Tensor
    """K_t'(0), after the offset."""
    far_slope: Tensor
    """K_t'(high), after the offset."""

    def pick(self, rows: Tensor) -> Totals:
        """Those of some rows."""
        return Totals(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True, slots=True)
class Support:
    """The tokens that a search looks at, of all rows one after the other.

    ``log_p`` (tokens,) and ``delta`` (experts, tokens), float32, are still to be lowered by
    ``Totals``; ``counts`` (rows,) says how many tokens each row has.
    """

    log_p: Tensor
    delta: Tensor
    counts: Tensor

    def pick(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """``log_p`` (rows, K) and ``delta`` (rows, experts, K), filled up with −inf and 0."""
        counts = self.counts[rows]
        first = (self.counts.cumsum(0) - self.counts)[rows]
        steps = torch.arange(int(counts.max()), device=rows.device)
        missing = steps >= counts[:, None]
        at = (first[:, None] + steps).clamp(max=len(self.log_p) - 1)
        log_p = self.log_p[at].masked_fill_(missing, -torch.inf)
        delta = self.delta[:, at].masked_fill_(missing, 0.0)
        return log_p, delta.transpose(0, 1)


def measured(rows: Rows, high: float, reach: float) -> tuple[Totals, Support]:
    """The sums over every token, and the tokens within ``reach`` nats of the best.

    Best by P, or by P̃ at α = ``high`` of any expert.  The rows' tokens must all count
    (``levelled``).  Four exponentials of the vocabulary a row with one expert, two more for each
    further one; the rest is differences, sums and comparisons.
    """
    log_p = rows.large - rows.large.amax(1, keepdim=True)
    log_q = rows.base - rows.base.amax(1, keepdim=True)
    experts = rows.experts.transpose(0, 1)
    tuned = experts - experts.amax(2, keepdim=True)
    delta = tuned - log_q[:, None]
    kept = log_p > -reach

    q_total, q_delta = moments(log_q.exp_(), delta)
    t_total, t_delta = own_moments(tuned.exp_(), delta)
    gain = t_total.log() - q_total.log()[:, None]

    far = torch.add(log_p[:, None], delta, alpha=high, out=tuned)
    best = far.amax(2, keepdim=True)
    far.sub_(best)
    kept |= (far > -reach).any(1) if far.shape[1] > 1 else far[:, 0] > -reach
    p_total, p_delta = moments(log_p.exp(), delta)
    far_total, far_delta = own_moments(far.exp_(), delta)

    weight = p_total.log()
    offset = (far_total.log() + best[:, :, 0].double() - weight[:, None]) / high
    totals = Totals(
        there=(t_delta - gain).clamp_(min=0.0),
        back=(gain - q_delta).clamp_(min=0.0),
        weight=weight,
        offset=offset,
        slope=p_delta - offset,
        far_slope=far_delta - offset,
    )
    return totals, gathered(log_p, delta, kept)


def gathered(log_p: Tensor, delta: Tensor, kept: Tensor) -> Support:
    """The kept tokens of ``log_p`` (rows, V) and ``delta`` (rows, experts, V), row by row."""
    row, token = kept.nonzero(as_tuple=True)
    return Support(log_p[row, token], delta[row, :, token].T, kept.sum(1))


def moments(weight: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Σ weight, (rows,), and the means of Δ under it, (rows, experts); weight is (rows, V)."""
    total = weight.sum(1).double()
    mean = torch.bmm(delta, weight[:, :, None])[:, :, 0].double()
    return total, mean / total[:, None]


def own_moments(weight: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """The same where each expert has weights of its own, (rows, experts, V)."""
    rows, experts, size = delta.shape
    total = weight.sum(2).double()
    flat = torch.bmm(weight.reshape(-1, 1, size), delta.reshape(-1, size, 1))
    return total, flat.reshape(rows, experts).double() / total


def joined(parts: list[tuple[Totals, Support]]) -> tuple[Totals, Support]:
    """Several parts of a batch as one."""
    if len(parts) == 1:
        return parts[0]
    totals = Totals(
        **{
            field.name: torch.cat([getattr(each, field.name) for each, _ in parts])
            for field in fields(Totals)
        }
    )
    support = Support(
        log_p=torch.cat([each.log_p for _, each in parts]),
        delta=torch.cat([each.delta for _, each in parts], dim=1),
        counts=torch.cat([each.counts for _, each in parts]),
    )
    return totals, support
