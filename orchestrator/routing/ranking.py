"""Experts in the order of merit, each with its reasons: what every strategy chooses from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from coterie.types import OVERALL, Candidate, Route, SkillWeight, Term
from orchestrator.routing.policy import Policy
from orchestrator.routing.pool import Pool
from orchestrator.routing.query import Query
from skills.knowledge import Table

BUSY = 0.005
"""What the busiest expert's score loses to load: half a point, so that load decides between equals
and nothing else."""


class Ranking(Sequence[Candidate]):
    """Candidates, best first; each is made when somebody looks at it.

    A decision among 64 experts explains the few it names, not all of them.  ``make`` takes the
    column of an expert in the pool; ``scores`` and ``chances`` are by column.  Equal scores go to
    the cheaper, then to the name; those that ``slow`` marks come last, whatever their score.
    """

    def __init__(
        self,
        pool: Pool,
        scores: NDArray[np.float64],
        make: Callable[[int], Candidate],
        *,
        chances: NDArray[np.float64] | None = None,
        slow: NDArray[np.bool_] | None = None,
    ) -> None:
        keys = (pool.thrift, -scores) if slow is None else (pool.thrift, -scores, slow)
        self._order: list[int] = np.lexsort(keys).tolist()
        self._pool = pool
        self._scores = scores
        self._chances = scores if chances is None else chances
        self._make = make
        self._slow = slow

    @property
    def names(self) -> tuple[str, ...]:
        """The experts' names, best first."""
        return tuple(self._pool.names[i] for i in self._order)

    @property
    def askable(self) -> tuple[str, ...]:
        """The names of those that are fast enough, best first: who may be asked at all."""
        return tuple(self._pool.names[i] for i in self.askable_columns)

    @property
    def askable_columns(self) -> list[int]:
        """Their columns in the pool, best first."""
        return self._order if self._slow is None else self._order[: -int(self._slow.sum())]

    @property
    def scores(self) -> list[float]:
        """The experts' scores, best first."""
        return [float(s) for s in self._scores[self._order]]

    @property
    def by_column(self) -> NDArray[np.float64]:
        """The experts' scores, (e), in the pool's order."""
        return self._scores

    @property
    def columns(self) -> Sequence[int]:
        """The experts' columns in the pool, best first."""
        return self._order

    @property
    def success(self) -> NDArray[np.float64]:
        """The experts' expected success, (e), in [0, 1], in the pool's order."""
        return np.clip(self._chances, 0.0, 1.0)

    @cached_property
    def chances(self) -> Mapping[str, float]:
        """Each expert's expected success, in [0, 1]."""
        return dict(zip(self._pool.names, self.success.tolist(), strict=True))

    def chance(self, column: int) -> float:
        """The expected success of the expert in the pool's ``column``, in [0, 1]."""
        return min(max(float(self._chances[column]), 0.0), 1.0)

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Candidate, ...]: ...
    def __getitem__(self, index: int | slice) -> Candidate | tuple[Candidate, ...]:
        if isinstance(index, slice):
            return tuple(map(self._make, self._order[index]))
        return self._make(self._order[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def expected_success(
    skills: Sequence[SkillWeight], table: Table
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and spread, (e) each, of success on a question that is this mixture of skills.

    The mean is sum_s w_s p_s; the skills' errors are taken as independent.  A skill nobody was
    graded on counts as the overall rate, and so does a question without skills.
    """
    rows = [table.rows.get(s.skill, 0) for s in skills] or [0]
    weights = np.array([[s.weight] for s in skills] or [[1.0]])
    # Row after row, not as a product of matrices: that may sum the columns of equal experts in
    # different orders, and a tie would be broken by the last bit.
    mean = np.add.reduce(weights * table.mean[rows])
    return mean, np.sqrt(np.add.reduce((weights * table.sd[rows]) ** 2))


def rank(query: Query, pool: Pool, policy: Policy | None = None) -> Ranking:
    """Every expert by expected success, less what the policy's objective takes from it."""
    success, sd = expected_success(query.skills, pool.table)
    return ranked(
        pool,
        policy or Policy(),
        success,
        sd,
        lambda column: skill_terms(query.skills, pool.table, column),
    )


def ranked(
    pool: Pool,
    policy: Policy,
    success: NDArray[np.float64],
    sd: NDArray[np.float64],
    terms: Callable[[int], tuple[Term, ...]],
) -> Ranking:
    """Experts by merit: the objective's value at their expected ``success``, (e), less load.

    The one place where costs, latency and load enter a ranking.  ``terms`` explains a column's
    success, and adds up to it.
    """
    busy = pool.busyness() if pool.load else None
    slow = pool.costs.too_slow(policy.latency_s) if policy.latency_s is not None else None
    scores = success
    if policy.cost_weight:
        scores = policy.worth(scores, pool.costs.relative)
    if busy is not None:
        scores = scores - BUSY * busy

    def make(column: int) -> Candidate:
        taken = _objective_terms(pool, policy, column, busy, slow)
        return Candidate(
            pool.names[column],
            float(scores[column]),
            float(sd[column]),
            (*terms(column), *taken),
            None if scores is success else float(success[column]),
        )

    return Ranking(pool, scores, make, chances=success, slow=slow)


def _objective_terms(
    pool: Pool,
    policy: Policy,
    column: int,
    busy: NDArray[np.float64] | None,
    slow: NDArray[np.bool_] | None,
) -> tuple[Term, ...]:
    """What costs and load take from one expert's score, and whether it is too slow."""
    found = []
    if policy.cost_weight:
        cost = float(pool.costs.relative[column])
        label = f"costs {cost:.2f} of the best single expert × {policy.cost_weight:g}"
        found.append(Term(label, -policy.cost_weight * cost))
    if busy is not None and busy[column]:
        load = pool.load[pool.names[column]]
        found.append(Term(f"{load} requests in flight", -BUSY * float(busy[column])))
    if slow is not None and slow[column]:
        seconds = f"{pool.costs.latency_s[column]:.1f} s, over {policy.latency_s:g} s"
        found.append(Term(f"takes {seconds}: asked only if nobody else is there", 0.0))
    return tuple(found)


def skill_terms(skills: Sequence[SkillWeight], table: Table, column: int) -> tuple[Term, ...]:
    """What each skill adds to the expected success of one expert."""
    if table.n[0, column] == 0:
        mean = float(table.mean[0, column])
        return (Term("no profile yet: nothing is known of it", mean),)
    return tuple(_skill_term(s, table, column) for s in skills or (SkillWeight(OVERALL, 1.0, 1.0),))


def _skill_term(s: SkillWeight, table: Table, column: int) -> Term:
    row = table.rows.get(s.skill, 0)
    mean, n = float(table.mean[row, column]), float(table.n[row, column])
    known = f"n={n:.0f}" if row and n else "not graded on it"
    return Term(f"{s.skill} {mean:.2f} ({known}) × {s.weight:.2f}", s.weight * mean)


def chances(route: Route) -> Mapping[str, float]:
    """Each candidate's expected success, in [0, 1]."""
    if isinstance(route.candidates, Ranking):
        return route.candidates.chances
    return {c.expert: min(max(c.success, 0.0), 1.0) for c in route.candidates}


def names(route: Route) -> Sequence[str]:
    """The candidates' names, best first."""
    if isinstance(route.candidates, Ranking):
        return route.candidates.names
    return [c.expert for c in route.candidates]
