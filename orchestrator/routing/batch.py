"""Routes questions by the million: the same experts as :func:`orchestrator.routing.base.rank`.

Scores are sums over the few skills a question needs, Σ_s w_s p_se, added in the order in which the
online ranking adds them and in the same precision: equal to the last bit, ties included.  Questions
go through in chunks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coterie.types import SkillWeight
from skills.knowledge import Table

CHUNK = 1024
"""Questions at a time: 64 experts' scores of as many are half a megabyte."""


def route_batch(
    skill_ids: NDArray[np.integer],
    weights: NDArray[np.floating],
    table: Table,
    k: int,
    *,
    thrift: NDArray[np.intp] | None = None,
) -> NDArray[np.int32]:
    """(q, k) columns of the k experts with the highest expected success, best first.

    ``skill_ids``: (q, s) rows of the table, padded with weight 0 (see :func:`padded`);
    ``weights``: (q, s); ``thrift``: (e) who comes first where scores are equal, such as
    :attr:`orchestrator.routing.base.Pool.thrift`; the order of the table where it is not given.
    Raises ValueError for a row that the table does not have.
    """
    _check(skill_ids, weights, table)
    # Columns in the order of thrift: the first of the highest is then the one to take.
    order = np.arange(len(table.experts)) if thrift is None else np.argsort(thrift)
    mean = np.ascontiguousarray(table.mean[:, order])
    k = min(k, len(order))
    chosen = np.empty((len(skill_ids), k), dtype=np.int32)
    for start in range(0, len(skill_ids), CHUNK):
        part = slice(start, start + CHUNK)
        scores = _scores(skill_ids[part], weights[part], mean)
        _take_best(scores, chosen[part])
    return order.astype(np.int32)[chosen]


def padded(
    questions: Sequence[Sequence[SkillWeight]], table: Table
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """(q, s) rows of the table and weights, padded with weight 0.

    A skill nobody was graded on counts as the overall rate, and so does a question without skills.
    """
    shape = (len(questions), max((len(skills) for skills in questions), default=1) or 1)
    rows, weights = np.zeros(shape, dtype=np.int32), np.zeros(shape)
    for q, skills in enumerate(questions):
        weights[q, 0] = 0.0 if skills else 1.0
        for slot, s in enumerate(skills):
            rows[q, slot], weights[q, slot] = table.rows.get(s.skill, 0), s.weight
    return rows, weights


def _check(rows: NDArray[np.integer], weights: NDArray[np.floating], table: Table) -> None:
    if rows.shape != weights.shape or rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"skill_ids {rows.shape} and weights {weights.shape} must be (q, s) both")
    if rows.size and not 0 <= rows.min() <= rows.max() < len(table.mean):
        raise ValueError(f"skill_ids must be rows of the table, 0 to {len(table.mean) - 1}")


def _scores(
    rows: NDArray[np.integer], weights: NDArray[np.floating], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(q, e), skill after skill."""
    total = mean.take(rows[:, 0], axis=0)
    total *= weights[:, :1]
    term = np.empty_like(total)
    for slot in range(1, rows.shape[1]):
        mean.take(rows[:, slot], axis=0, out=term, mode="clip")
        term *= weights[:, slot : slot + 1]
        total += term
    return total


def _take_best(scores: NDArray[np.float64], chosen: NDArray[np.int32]) -> None:
    """Fills ``chosen``, (q, k); takes the scores it has taken away.

    ``argmax`` gives the first of equals, which a partition does not.
    """
    questions = np.arange(len(scores))
    for place in range(chosen.shape[1]):
        best = scores.argmax(axis=1)
        chosen[:, place] = best
        scores[questions, best] = -np.inf
