"""Routing by similar questions: how did the experts do on what resembled this one?

    P(e | q) = (Σ_i w_i correct_ie + κ prior_e) / (Σ_i w_i graded_ie + κ)

over remembered questions near q, or in its cluster; the prior is what the question's skills say of
the expert.  Formula, sources and how the settings are chosen: :mod:`skills.recall`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route, Term
from orchestrator.routing.base import (
    Policy,
    Pool,
    Query,
    Ranking,
    expected_success,
    rank,
    ranked,
)
from orchestrator.routing.symbolic import OneOrFew, one_or_few
from skills.evidence import rate, spread
from skills.recall import Recall, Recollection, recall


class NeighboursRouter(OneOrFew):
    """Ranks by how each expert did on similar questions, shrunk to its skills."""

    name = "neighbours"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        if why := unlike_memory(query, pool):
            return by_skills(self.name, query, pool, policy, why)
        return one_or_few(self.name, query, pool, policy, _rank(query, pool, policy))

    def prepare(self, pool: Pool, policy: Policy) -> None:
        super().prepare(pool, policy)
        if pool.knowledge.memory is not None and len(pool.knowledge.memory):
            recollection_of(pool)


def by_skills(strategy: str, query: Query, pool: Pool, policy: Policy, why: str) -> Route:
    """What a strategy does with a question that it cannot compare: ``why`` begins the reason."""
    route = one_or_few(strategy, query, pool, policy, rank(query, pool, policy))
    return replace(route, reason=f"by skills, since {why}; {route.reason}")


def unlike_memory(query: Query, pool: Pool) -> str:
    """Why the query cannot be compared to the remembered questions; nothing where it can."""
    memory = pool.knowledge.memory
    if memory is None or not len(memory):
        return "no graded question is remembered"
    if query.vector is None:
        return "the question has no embedding"
    if len(query.vector) != memory.vectors.shape[1]:
        return (
            f"its embedding has {len(query.vector)} numbers and remembered ones have "
            f"{memory.vectors.shape[1]}"
        )
    return ""


def setting_of(pool: Pool) -> Recall:
    """How similar questions are asked; chosen once for a snapshot, over everyone it remembers."""
    memory = pool.knowledge.memory
    assert memory is not None
    return pool.knowledge.once(("recall",), lambda: recall(memory))


def recollection_of(pool: Pool) -> Recollection:
    """What the remembered questions say of the pool's experts."""
    memory = pool.knowledge.memory
    assert memory is not None
    return pool.knowledge.once(
        ("recollection", pool.names), lambda: setting_of(pool).of(memory.of_experts(pool.names))
    )


def _rank(query: Query, pool: Pool, policy: Policy) -> Ranking:
    assert query.vector is not None
    found = recollection_of(pool)
    counts = found.counts(query.vector)
    prior, _ = expected_success(query.skills, pool.table)
    mean = rate(counts, prior, found.strength)
    sd = spread(mean, counts, found.strength)
    return ranked(
        pool, policy, mean, sd, lambda column: _terms(counts, prior, found.strength, column)
    )


def _terms(
    counts: NDArray[np.floating], prior: NDArray[np.float64], strength: float, column: int
) -> tuple[Term, ...]:
    """What similar questions and the prior each add to the score."""
    right, graded = float(counts[column]), float(counts[len(prior) + column])
    share = graded / (graded + strength)
    known = right / graded if graded else 0.0
    own = float(prior[column])
    return (
        Term(f"similar questions {known:.2f} (n={graded:.1f}) × {share:.2f}", known * share),
        Term(f"its skills {own:.2f} × {1 - share:.2f}", own * (1 - share)),
    )
