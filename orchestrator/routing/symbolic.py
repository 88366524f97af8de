"""Symbolic routing: recruit by the skills a question needs.

Source: Symbolic-MoE (arXiv 2503.05641, section 3.2), with four changes: an expert's local score
is a probability with a spread instead of a sum of ±1; recruiting is deterministic instead of
sampled with replacement; no one is asked who could not change the answer; and those vote who vote
well together, which experts that err together do not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from aggregator.base import Case
from aggregator.vote import OPEN_ANSWERS
from coterie.types import Ballot, Route, Verdict
from orchestrator.routing.base import Policy, Pool, Query, Ranking, Router, chances, rank
from orchestrator.routing.committees import Committees, committees
from orchestrator.routing.few import few_pay
from orchestrator.routing.gain import LOOKAHEAD, gain
from orchestrator.routing.worth import LEAST_GAIN, belief_of, best_next, kept_of


class OneOrFew(Router):
    """What routers share that ask :func:`one_or_few`."""

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
        """The reserve, as always; where costs count, only those of it that are worth theirs.

        As :mod:`orchestrator.routing.adaptive` reasons, but with what votes were measured to keep
        of their promise, and all of them at once.
        """
        left = super().recruit(query, pool, policy, route, ballots, verdict, asked)
        if not left or not policy.cost_weight:
            return left
        believed = chances(route)
        belief = belief_of(Case(tuple(ballots), believed, query.options), verdict)
        kept = kept_of(pool)
        more = best_next(belief, left, believed, pool, policy, query.options, kept)
        return more.names if more.pays else ()

    def prepare(self, pool: Pool, policy: Policy) -> None:
        super().prepare(pool, policy)
        if policy.cost_weight:
            kept_of(pool)


class SymbolicRouter(OneOrFew):
    """Asks the best expert alone when it is sure enough, else the few that vote best together."""

    name = "symbolic"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        return one_or_few(self.name, query, pool, policy, rank(query, pool, policy))


def one_or_few(strategy: str, query: Query, pool: Pool, policy: Policy, ranking: Ranking) -> Route:
    """The best of ``ranking`` alone, or a few that vote, with comparable others in reserve.

    Alone where it is sure enough, where nobody comes near it, or where votes were measured to be no
    better (:mod:`orchestrator.routing.few`) or, where costs count, are not worth theirs.  The few
    are the comparable best, or the committee that was measured to vote best
    (:mod:`orchestrator.routing.committees`).
    """
    near = _comparable(ranking, policy)
    first = min(policy.first, policy.most)
    if len(near) == 1 or ranking.chance(near[0]) >= policy.confidence:
        recruits, first, told = near[:1], 1, _alone(ranking, pool, policy)
    elif not few_pay(pool, policy, first):
        recruits, first, told = near[:1], 1, _ahead(ranking, pool)
    else:
        few, told = _few(near, ranking, pool, policy, query, first)
        others = () if len(few) == 1 < first else near
        recruits, first = list(dict.fromkeys((*few, *others))), len(few)
    names = tuple(pool.names[column] for column in recruits[: policy.most])
    return Route(
        strategy,
        query.skills,
        ranking,
        names[:first],
        names[first:],
        told + _next(ranking, pool),
        enough=policy.confidence,
        step=policy.most,
        snapshot=pool.knowledge.name,
    )


def _comparable(ranking: Ranking, policy: Policy) -> list[int]:
    """The columns of those that could change the best one's answer, itself first."""
    columns = ranking.askable_columns
    scores = ranking.by_column[columns]
    best = float(scores[0])
    floor = policy.comparable * best if best > 0 else best
    return columns[: max(int(np.count_nonzero(scores >= floor)), 1)]


def _few(
    near: Sequence[int], ranking: Ranking, pool: Pool, policy: Policy, query: Query, first: int
) -> tuple[list[int], str]:
    """The columns of the ``first`` that vote, best first, and why these."""
    plain = list(near[:first])
    name, chance = pool.names[plain[0]], ranking.chance(plain[0])
    told = f"best is {name} at {chance:.2f}, under {policy.confidence:.2f}: "
    found = committees(pool, first) if len(near) > first else None
    if found is None or not found.known[plain].all():
        # Nobody can say how those that are not known would vote together with the others.
        few, why = plain, f"{len(plain)} comparable experts vote"
    else:
        few, why = _committee(found, ranking, pool, policy)
    if policy.cost_weight and len(few) > 1 and not _pay(few, ranking, pool, policy, query):
        return plain[:1], f"{told}no vote is worth what it costs"
    return few, f"{told}{why}"


def _pay(few: Sequence[int], ranking: Ranking, pool: Pool, policy: Policy, query: Query) -> bool:
    """Whether the vote of these columns is worth its cost, against the best one's answer alone."""
    ordered = sorted(few, key=lambda column: -ranking.chance(column))
    likely = [ranking.chance(column) for column in ordered]
    answers = max(query.options or OPEN_ANSWERS, 2)
    # A promise of more than a few votes is one of these few at least.
    promised = gain(likely[:1], likely[1 : 1 + LOOKAHEAD], answers)
    cost = policy.cost_weight * pool.costs.relative
    together = likely[0] + kept_of(pool) * promised - float(cost[ordered].sum())
    best = ranking.columns[0]
    return together > ranking.chance(best) - float(cost[best]) + LEAST_GAIN


def _committee(
    found: Committees, ranking: Ranking, pool: Pool, policy: Policy
) -> tuple[list[int], str]:
    values = found.values(ranking.success)
    if policy.cost_weight:
        values = policy.worth(values, pool.costs.relative[found.members].sum(axis=1))
    slow = pool.costs.too_slow(policy.latency_s)
    if slow is not None:
        values = np.where(slow[found.members].any(axis=1), -np.inf, values)
    best = int(np.argmax(values))
    chosen = set(found.members[best].tolist())
    columns = [column for column in ranking.columns if column in chosen]
    names = ", ".join(pool.names[column] for column in columns)
    return columns, f"{names} vote best together, expected {values[best]:.2f}"


def _alone(ranking: Ranking, pool: Pool, policy: Policy) -> str:
    column = ranking.columns[0]
    name, chance = pool.names[column], ranking.chance(column)
    if chance >= policy.confidence:
        return f"{name} is sure enough alone at {chance:.2f}"
    return f"no other expert comes near {name} at {chance:.2f}"


def _ahead(ranking: Ranking, pool: Pool) -> str:
    column = ranking.columns[0]
    told = "alone, as votes were no better than the best on remembered questions"
    return f"{pool.names[column]} at {ranking.chance(column):.2f} {told}"


def _next(ranking: Ranking, pool: Pool) -> str:
    if len(ranking) == 1:
        return ""
    column = ranking.columns[1]
    return f"; next is {pool.names[column]} at {ranking.chance(column):.2f}"
