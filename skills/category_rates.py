"""How experts do on what a classifier sorts into each category, uncertain prompts apart.

    w_ce = (right + κ overall_e) / (graded + κ)

over the remembered questions that the classifier *would sort into c*, each classified without
having been seen: what counts is who does well on what arrives, wrongly sorted prompts included.  κ
is chosen by log-loss on held-out folds.

A prompt whose class probabilities have an entropy above a threshold is *general*, a category like
any other (Robust-CoE; Composition of Experts, arXiv 2412.01868).  The threshold is the one under
which the selected experts are most often right on held-out folds, if that gain is larger than its
standard error; else there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skills.classifier import Fitted, entropies
from skills.evidence import (
    OVERALL_STRENGTH,
    cell_counts,
    counts_of,
    counts_of_others,
    log_loss,
    rate,
    spread,
)
from skills.memory import Memory

GENERAL = "general (uncertain)"
STRENGTHS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
UNSURE = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
"""The shares of most uncertain prompts that are tried as general."""
UNSEEN = 0.5
"""What is added to each category's count of prompts: the rarest one needs a good expert, too."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CategoryRates:
    """What is known of ``e`` experts in ``c`` categories, the last one general.

    ``threshold``: the entropy in nats above which a prompt is general; ``strength``: κ; ``share``:
    (c) how frequent each is, sums to 1; ``value``: (c, e) w_ce, and ``sd`` its spread; ``length``:
    (c, e) how long an expert's answers are, as a multiple of what they are over all.
    """

    categories: tuple[str, ...]
    threshold: float
    strength: float
    share: Matrix
    value: Matrix
    sd: Matrix
    length: Matrix

    @classmethod
    def overall(cls, mean: Matrix, sd: Matrix) -> Self:
        """Everything is general: no more is known than overall rates, (e), and their spread."""
        length = np.ones((1, len(mean)))
        return cls((GENERAL,), -math.inf, 0.0, np.ones(1), mean[None], sd[None], length)


def category_rates(fitted: Fitted, memory: Memory, overall: Matrix) -> CategoryRates:
    """The rates of ``memory``'s experts, which are pulled to their ``overall`` ones, (e).

    The questions are those that the classifier was fitted on, in the same order.  κ and the
    threshold are chosen by the memory alone: to think better of an expert moves nobody else.
    """
    counts, n = counts_of(memory.correct), len(fitted.classifier.names)
    before = rate(counts.sum(axis=0), np.full(len(overall), 0.5), OVERALL_STRENGTH)
    unsure = entropies(fitted.held_out)

    def cells(threshold: float) -> NDArray[np.intp]:
        return np.where(unsure > threshold, n, fitted.held_out.argmax(axis=1))

    def held_out(threshold: float, strength: float) -> Matrix:
        return rate(counts_of_others(cells(threshold), fitted.fold, counts), before, strength)

    def right(threshold: float, strength: float) -> Matrix:
        return _selected(held_out(threshold, strength), memory.correct)

    strength = min(STRENGTHS, key=lambda k: log_loss(held_out(math.inf, k), memory.correct))
    alone = right(math.inf, strength)
    thresholds = (math.inf, *(float(np.quantile(unsure, 1 - share)) for share in UNSURE))
    threshold = max(thresholds, key=lambda t: _sure_gain(right(t, strength), alone))

    found = cells(threshold)
    total = cell_counts(found, counts, n + 1)
    share = np.bincount(found, minlength=n + 1) + UNSEEN
    value = rate(total, overall, strength)
    return CategoryRates(
        (*fitted.classifier.names, GENERAL),
        threshold,
        strength,
        share / share.sum(),
        value,
        spread(value, total, strength),
        _lengths(found, memory.tokens, n + 1, strength),
    )


def _lengths(
    cells: NDArray[np.intp], tokens: NDArray[np.float32], n: int, strength: float
) -> Matrix:
    """(n, e) the mean length of answers in each cell as a multiple of the expert's overall mean,
    shrunk to 1; 1 where no length is known."""
    total, e = counts_of(tokens).sum(axis=0, dtype=np.float64), tokens.shape[1]
    mean = total[:e] / np.maximum(total[e:], 1)
    relative = counts_of(np.asarray(tokens / np.where(mean > 0, mean, 1), dtype=np.float32))
    return rate(cell_counts(cells, relative, n), np.ones(e), strength)


def _selected(value: Matrix, correct: NDArray[np.float32]) -> Matrix:
    """(q) whether the expert with the highest value, (q, e), is right; ungraded is wrong."""
    picked = correct[np.arange(len(value)), value.argmax(axis=1)]
    return np.asarray(np.nan_to_num(picked), dtype=np.float64)


def _sure_gain(right: Matrix, before: Matrix) -> float:
    """How much more often right than before, less one standard error of that difference."""
    gain = right - before
    return float(gain.mean() - gain.std() / math.sqrt(len(gain)))
