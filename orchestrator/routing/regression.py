"""Routing by what a question is about: each expert's success as a regression on its embedding.

    logit P(e | x) = a_e + Σ_c u_ec (P(c | x) - 1/C) + Σ_j v_ej z_j(x)

over the probabilities of the question's category and the leading components of its embedding;
:mod:`skills.regression` tells how it is fitted.  A question that cannot be compared to the
remembered ones is ranked by its skills, and the reason says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route, Term
from orchestrator.routing.base import (
    Policy,
    Pool,
    Query,
    Ranking,
    ranked,
)
from orchestrator.routing.neighbours import by_skills, unlike_memory
from orchestrator.routing.outlook import regression_of
from orchestrator.routing.symbolic import OneOrFew, one_or_few
from skills.regression import Regression


class RegressionRouter(OneOrFew):
    """Ranks by the regression of each expert's success on what the question is about."""

    name = "regression"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        fitted = None if unlike_memory(query, pool) else regression_of(pool)
        if fitted is None:
            why = unlike_memory(query, pool) or "no graded question teaches anything"
            return by_skills(self.name, query, pool, policy, why)
        return one_or_few(self.name, query, pool, policy, _rank(query, pool, policy, fitted))

    def prepare(self, pool: Pool, policy: Policy) -> None:
        super().prepare(pool, policy)
        regression_of(pool)


def _rank(query: Query, pool: Pool, policy: Policy, fitted: Regression) -> Ranking:
    assert query.vector is not None
    column = {name: i for i, name in enumerate(fitted.experts)}
    told = fitted.chances(query.vector)
    overall = pool.table.mean[0]
    chances = np.array(
        [told[column[n]] if n in column else overall[i] for i, n in enumerate(pool.names)]
    )
    return ranked(
        pool, policy, chances, pool.table.sd[0], lambda i: _terms(pool, chances, overall, i)
    )


def _terms(
    pool: Pool, chances: NDArray[np.float64], overall: NDArray[np.float64], i: int
) -> tuple[Term, ...]:
    """The expert's overall rate, and what this question's subject changes of it."""
    base, change = float(overall[i]), float(chances[i] - overall[i])
    return (Term(f"overall {base:.2f}", base), Term(f"this subject {change:+.2f}", change))
