"""The published search: every point of the grid, over the whole vocabulary, one expert at a time.

arXiv 2406.15480, section 3 and its pseudocode, with two things made explicit: the least distance so
far starts anew at every step and for every row.  Pure; kept plain, as what others are measured by.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aggregator.fusion.masks import Rows
from aggregator.fusion.modes import Dynamic


def search(rows: Rows, mode: Dynamic) -> Tensor:
    """α, (rows, experts): one of them is a point of the grid, the others are 0."""
    log_p, log_q = rows.large.log_softmax(1), rows.base.log_softmax(1)
    tuned = [expert.log_softmax(1) for expert in rows.experts]
    there = torch.stack([divergence(each, log_q) for each in tuned]).mean(0)
    back = torch.stack([divergence(log_q, each) for each in tuned]).mean(0)
    alpha = log_p.new_zeros((len(log_p), len(tuned)))
    least = torch.full_like(there, torch.inf)
    for column, each in enumerate(tuned):
        each.sub_(log_q)
        for point in mode.grid:
            fused = torch.add(log_p, each, alpha=point).log_softmax(1)
            miss = (divergence(fused, log_p) - there) ** 2 + (divergence(log_p, fused) - back) ** 2
            better = miss < least
            least = torch.where(better, miss, least)
            alpha[better] = 0.0
            alpha[better, column] = point
    return alpha


def divergence(log_a: Tensor, log_b: Tensor) -> Tensor:
    """KL(a ‖ b) in nats, (rows,), of log-probabilities (rows, V) without −inf."""
    return (log_a.exp() * (log_a - log_b)).sum(1)
