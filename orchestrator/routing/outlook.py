"""What a vote is told of a question before any answer: each expert's chance, and the subject.

A strategy may rank by anything; a vote wants the best estimate there is, the same whoever chose
the experts.  Where the question can be compared to remembered ones that is the regression on its
embedding, else the strategy's own expectation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route
from orchestrator.routing.base import Pool, Query, chances
from orchestrator.routing.neighbours import unlike_memory
from skills.classifier import classifier_of
from skills.regression import Regression, fit_regression


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """``chances``: each expert's probability of success; ``context``: (c) how much likelier than
    chance each category is, None where that cannot be told."""

    chances: Mapping[str, float]
    context: NDArray[np.float64] | None = None


def outlook(query: Query, pool: Pool | None, route: Route) -> Outlook:
    """The outlook on ``query`` for the experts of ``pool``; None: one was asked for by name."""
    told = chances(route)
    if pool is None or unlike_memory(query, pool):
        return Outlook(told)
    fitted = regression_of(pool)
    if fitted is None or query.vector is None:
        return Outlook(told)
    expected, subject = fitted.told(query.vector)
    measured = dict(zip(fitted.experts, expected.tolist(), strict=True))
    return Outlook({**told, **{n: measured[n] for n in told if n in measured}}, subject)


def regression_of(pool: Pool) -> Regression | None:
    """The regression on everything that the pool's snapshot remembers: fitted once."""
    memory = pool.knowledge.memory
    if memory is None:
        return None
    return pool.knowledge.once(
        ("regression",), lambda: fit_regression(memory, fitted=classifier_of(pool.knowledge))
    )
