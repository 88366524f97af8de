"""What a router is: a query, experts and knowledge in, a route out.  Pure, without I/O or clock."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from coterie.types import (
    OVERALL,
    Ballot,
    Candidate,
    Expert,
    Profile,
    Route,
    SkillWeight,
    Term,
    Verdict,
)
from orchestrator.routing.hosting import Hosting, hosting_of
from skills.knowledge import Knowledge, Table

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """What a router sees of a question.

    ``vector``: its unit embedding, (d,), where one was made; ``options``: how many answers there
    are to choose from, 0 for an open question; ``holder``: the expert that answered the turn
    before, where the conversation has one.
    """

    skills: tuple[SkillWeight, ...] = ()
    text: str = ""
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    options: int = 0
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How many are asked.

    ``first`` experts at most in the first round, ``most`` in all; one who is right with
    probability ``confidence`` or more is asked alone, and a vote that reaches it ends the asking.
    An expert whose score is under ``comparable`` times the best one's has nothing to add: it is
    kept only as a substitute.

    ``cost_weight`` is how much accuracy may be given up to save what one answer of the pool's best
    single expert costs; ``mean_cost`` bounds what a question costs on average, in the unit of the
    pool's costs; ``hosting_gb`` bounds the memory of the experts that are held ready.  None: no
    bound.
    """

    first: int = 3
    most: int = 5
    confidence: float = 0.9
    comparable: float = 0.6
    seed: int = 0
    cost_weight: float = 0.0
    hosting_gb: float | None = None
    mean_cost: float | None = None


class Pool:
    """Who can be asked (enabled, and the conversation fits), and what is known of them.

    Never empty, and in the order of names: no decision depends on the order experts came in.
    """

    def __init__(self, experts: Sequence[Expert], knowledge: Knowledge) -> None:
        self.experts = tuple(sorted(experts, key=lambda e: e.name))
        self.knowledge = knowledge

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The experts' names."""
        return tuple(e.name for e in self.experts)

    @cached_property
    def table(self) -> Table:
        """The estimates of these experts."""
        return self.knowledge.table(self.names)

    @cached_property
    def thrift(self) -> NDArray[np.intp]:
        """(e) each expert's rank when the cheapest comes first; what ties are broken by."""
        keys = [(*price(e), e.name) for e in self.experts]
        ranks = np.empty(len(keys), dtype=np.intp)
        ranks[sorted(range(len(keys)), key=lambda i: keys[i])] = np.arange(len(keys))
        return ranks

    @cached_property
    def costs(self) -> Costs:
        """What asking each of these experts takes."""
        return costs_of(self.experts, self.knowledge)

    @cached_property
    def hosting(self) -> Hosting:
        """The engines these experts run on, and the memory of each."""
        return hosting_of(self.experts)

    @cached_property
    def key(self) -> Hashable:
        """Stands for these experts and their costs in what knowledge derives once."""
        return self.names, tuple(self.costs.expected.tolist())

    def derive(self, what: Hashable, derive: Callable[[], T]) -> T:
        """What ``derive`` makes of these experts and what is known of them: made once.

        ``what`` names it, and every part of a policy that it depends on.
        """
        return self.knowledge.once((what, self.key), derive)


class Ranking(Sequence[Candidate]):
    """Candidates, best first; each is made when somebody looks at it.

    A decision among 64 experts explains the few it names, not all of them.  ``make`` takes the
    column of an expert in the pool; ``scores`` and ``chances`` are by column.
    """

    def __init__(
        self,
        pool: Pool,
        scores: NDArray[np.float64],
        make: Callable[[int], Candidate],
        *,
        chances: NDArray[np.float64] | None = None,
    ) -> None:
        self._order: list[int] = np.lexsort((pool.thrift, -scores)).tolist()
        self._pool = pool
        self._scores = scores
        self._chances = scores if chances is None else chances
        self._make = make

    @property
    def names(self) -> tuple[str, ...]:
        """The experts' names, best first."""
        return tuple(self._pool.names[i] for i in self._order)

    @property
    def scores(self) -> list[float]:
        """The experts' scores, best first."""
        return [float(s) for s in self._scores[self._order]]

    @property
    def columns(self) -> Sequence[int]:
        """The experts' columns in the pool, best first."""
        return self._order

    @cached_property
    def chances(self) -> Mapping[str, float]:
        """Each expert's expected success, in [0, 1]."""
        clipped = np.clip(self._chances, 0.0, 1.0).tolist()
        return dict(zip(self._pool.names, clipped, strict=True))

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


class Router(ABC):
    """Decides who is asked."""

    name: str

    @abstractmethod
    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        """The route for the query; at most ``policy.most`` experts chosen and in reserve."""

    def prepare(self, pool: Pool, policy: Policy) -> None:
        """Derives what the first decision would otherwise wait for: seconds, where it learns."""
        _ = pool.table, pool.thrift

    def recruit(
        self,
        query: Query,
        pool: Pool,
        policy: Policy,
        route: Route,
        ballots: Sequence[Ballot],
        verdict: Verdict,
        asked: Collection[str],
    ) -> tuple[str, ...]:
        """Who is asked next, now that ``asked`` have answered or failed; nobody ends the asking.

        By default the reserve in its order, ``route.step`` at a time, until the agreement is
        enough.
        """
        if verdict.leader is None or verdict.agreement >= route.enough:
            return ()
        left = [name for name in route.reserve if name not in asked]
        room = max(0, policy.most - len(asked))
        return tuple(left[: min(room, route.step)])


# --- what strategies share ----------------------------------------------------------------------


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
    """Every expert by expected success; ties go to the cheaper, then to the name."""
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
    """Experts by their expected ``success``, (e); ``terms`` explains a column's, and adds up."""

    def make(column: int) -> Candidate:
        name, mean = pool.names[column], float(success[column])
        return Candidate(name, mean, float(sd[column]), terms(column))

    return Ranking(pool, success, make)


def skill_terms(skills: Sequence[SkillWeight], table: Table, column: int) -> tuple[Term, ...]:
    """What each skill adds to the expected success of one expert."""
    if table.n[0, column] == 0:
        mean = float(table.mean[0, column])
        return (Term("no profile yet: nothing is known of it", mean),)
    return tuple(_skill_term(s, table, column) for s in skills or (SkillWeight(OVERALL, 1.0, 1.0),))


def _skill_term(s: SkillWeight, table: Table, column: int) -> Term:
    row = table.rows.get(s.skill, 0)
    mean, n = float(table.mean[row, column]), float(table.n[row, column])
    known = f"n={n:.0f}" if row and n else "overall rate"
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


def price(expert: Expert) -> tuple[float, float]:
    """What an expert costs: its prices, then its active parameters."""
    active = expert.active_params_b or expert.total_params_b or math.inf
    return (expert.prompt_price + expert.completion_price, active)


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """To be replaced by ``orchestrator.routing.costs``: (e) what one answer is expected to cost."""

    expected: NDArray[np.float64]


def costs_of(experts: Sequence[Expert], knowledge: Knowledge) -> Costs:
    """Prices × tokens where there are prices, else active parameters (billions) × tokens."""
    return Costs(np.array([_expected_cost(e, knowledge.profile(e.name)) for e in experts]))


def _expected_cost(expert: Expert, profile: Profile) -> float:
    effort = profile.effort
    asked = (effort.prompt_tokens if effort else None) or 500.0
    written = (effort.completion_tokens if effort else None) or 300.0
    if expert.prompt_price or expert.completion_price:
        return (asked * expert.prompt_price + written * expert.completion_price) / 1e6
    return (expert.active_params_b or expert.total_params_b or math.inf) * written
