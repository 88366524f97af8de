"""What asking costs: US dollars where experts have prices, else the work their engines do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.replay.material import Material


def call_costs(material: Material, profile: NDArray[np.intp]) -> NDArray[np.float64]:
    """(q, e) the cost of each expert's answer to each question; NaN where it is not known.

    In US dollars if any of the experts has a price, else in active parameters (billions) × output
    tokens.  An answer that is missing costs what the expert's answers to ``profile`` do on average:
    it was asked for all the same.
    """
    r = material.recording
    costs = _dollars(material) if priced(material) else _work(material)
    missing = np.isnan(r.correct)
    known = np.where(missing, np.nan, costs)[profile]
    counted = (~np.isnan(known)).sum(axis=0)
    average = np.where(counted, np.nansum(known, axis=0) / np.maximum(counted, 1), np.nan)
    return np.where(missing, average, costs)


def priced(material: Material) -> bool:
    """Whether costs are in US dollars."""
    return any(e.prompt_price or e.completion_price for e in material.experts)


def _work(material: Material) -> NDArray[np.float64]:
    active = [e.active_params_b or e.total_params_b or np.nan for e in material.experts]
    return np.asarray(material.recording.tokens * np.array(active))


def _dollars(material: Material) -> NDArray[np.float64]:
    r = material.recording
    prompt = np.array([e.prompt_price for e in material.experts])
    completion = np.array([e.completion_price for e in material.experts])
    # What is free costs nothing, even where nobody counted it.
    return (
        np.asarray(
            (np.where(prompt, r.prompt_tokens * prompt, 0.0))
            + np.where(completion, r.tokens * completion, 0.0)
        )
        / 1e6
    )


def spent(
    asked: NDArray[np.int16], rows: NDArray[np.intp], costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n) what all calls for each of the questions ``rows`` cost; NaN where a part is unknown.

    ``asked``: (n, e) how often each expert was asked.
    """
    found: NDArray[np.float64] = np.where(asked > 0, asked * costs[rows], 0.0).sum(axis=1)
    return found


def mean_cost(
    asked: NDArray[np.int16], rows: NDArray[np.intp], costs: NDArray[np.float64]
) -> float | None:
    """The mean of :func:`spent` over the questions; None where a part is unknown."""
    total = spent(asked, rows, costs).mean()
    return None if np.isnan(total) else float(total)
