"""The gap closed over the base: how far fusion goes from the large model to the large one tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Gap:
    """(fused − large) / (tuned − large) with a 95 % interval, over ``n`` questions."""

    closed: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.closed:.1%} [{self.low:.1%}, {self.high:.1%}]"


def gap_closed(
    fused: Sequence[bool],
    large: Sequence[bool],
    tuned: Sequence[bool],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Gap:
    """The three systems' outcomes on the same questions, in the same order.

    The interval is a bootstrap over questions, the three outcomes of a question drawn together;
    resamples in which tuning gains nothing have no gap and are left out.

    Raises:
        ValueError: the outcomes are not of the same questions, or tuning gains nothing.
    """
    if not len(fused) == len(large) == len(tuned):
        raise ValueError(f"not the same questions: {len(fused)}, {len(large)}, {len(tuned)}")
    outcomes = np.asarray([fused, large, tuned], dtype=int)
    gained, whole = outcomes[0] - outcomes[1], outcomes[2] - outcomes[1]
    if whole.sum() <= 0:
        raise ValueError("there is no gap to close: the tuned large model is no better than it was")
    pairs, counts = np.unique(np.stack([gained, whole]), axis=1, return_counts=True)
    n = len(gained)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, resamples) @ pairs.T
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return Gap(float(gained.sum() / whole.sum()), float(low), float(high), n)
