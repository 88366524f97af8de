"""Made-up logits: batches of every kind that a property test should see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from aggregator.fusion.plain import divergence, shifted


@dataclass(frozen=True)
class Batch:
    large: Tensor
    base: Tensor
    experts: Tensor


def batch(
    seed: int,
    *,
    rows: int = 2,
    size: int = 50,
    experts: int = 1,
    scale: float = 3.0,
    tuning: float = 1.0,
) -> Batch:
    """Logits of a large model and a small one that agree by half, and of experts near the small."""
    draw = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    common = noise(rows, size)
    large = scale * (common + 0.7 * noise(rows, size))
    base = scale * (common + 0.7 * noise(rows, size))
    tuned = base + tuning * noise(experts, rows, size)
    return Batch(large, base, tuned)


def peaked(seed: int, *, rows: int = 3, size: int = 5000, experts: int = 1) -> Batch:
    """Logits as of a language model: a few likely tokens far above thousands of unlikely ones."""
    made = batch(seed, rows=rows, size=size, experts=experts, scale=2.0, tuning=0.8)
    draw = torch.Generator().manual_seed(seed + 1)
    likely = torch.randint(size, (rows, 8), generator=draw)
    lift = 6.0 + 6.0 * torch.rand(rows, 8, generator=draw)
    return Batch(
        made.large.scatter_add(1, likely, lift),
        made.base.scatter_add(1, likely, lift),
        torch.stack([each.scatter_add(1, likely, lift.flip(1)) for each in made.experts]),
    )


some_examples = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 2**31)


@st.composite
def batches(draw: st.DrawFn, *, experts: st.SearchStrategy[int] | None = None) -> Batch:
    """Small and large vocabularies, sharp and flat distributions, timid and wild experts."""
    return batch(
        draw(seeds),
        rows=draw(st.integers(1, 4)),
        size=draw(st.integers(2, 300)),
        experts=draw(st.integers(1, 3) if experts is None else experts),
        scale=draw(st.floats(0.01, 12.0)),
        tuning=draw(st.floats(0.01, 12.0)),
    )


NOISE = 2e-4
"""Nats that float32 logits of these sizes leave uncertain, of divergences of a few nats."""


def distance(made: Batch, row: int, alpha: Tensor) -> float:
    """√F: from the divergences at α to the mean of those aimed at, in float64."""
    large, base = made.large[row].double(), made.base[row].double()
    experts = [each[row].double() for each in made.experts]
    fused = shifted(large, base, experts, [float(each) for each in alpha])
    there = sum(divergence(each, base) for each in experts) / len(experts)
    back = sum(divergence(base, each) for each in experts) / len(experts)
    return math.hypot(divergence(fused, large) - there, divergence(large, fused) - back)
