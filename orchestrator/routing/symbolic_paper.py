"""Symbolic-MoE as published: the baseline that ``symbolic`` has to beat.

Source: arXiv 2503.05641, sections 3.1 and 3.2, by the paper's formulas:

* profile: S[s, e] is the sum of +1 for each right and -1 for each wrong answer of expert e to a
  remembered question that needs skill s;
* local score: S(e, q) = sum over the question's skills of S[s, e], each skill counting once;
* global competency: γ(e) = sum_s S[s, e] / sum_e' sum_s S[s, e'], e's share of the pool's total;
* weight: w(e, q) = γ(e) S(e, q); k = 3 experts are drawn with replacement from
  softmax(w / 0.5), the 0.5 being ``Policy.temperature``;
* of a batch, who was drawn for under 5 % of the questions is trimmed, and others are drawn instead.

Where this reading had to decide something:

* A share needs totals of one sign.  Where some experts' are positive and others' negative, the best
  would have a negative share of a negative total; totals are then counted from the lowest.
* Skills are those of the query, each with unit weight.  The paper asks an LLM for keywords; so does
  Coterie where a keyword expert is configured, and with embeddings both sides use those instead.
* An expert drawn twice is asked once and has one vote, since a route names experts.  Its term says
  how often it was drawn.
* Draws come from the policy's seed and the question's text.
* Where no weight is positive (the pool is wrong more often than right on these skills), the softmax
  still prefers the least negative; where all are 0 (no skill of the question was ever graded) it
  draws everyone alike, which is what the published code falls back to.  The reason says either.
* One question is no batch: ``route`` cannot trim, ``plan`` does.  Trimming stops at ``k`` experts.
* Without the answers themselves the sums are taken from the profiles: n (2 p - 1).

The published code differs from the paper: it squares a shifted total for γ, normalises linearly
what is positive instead of the softmax, and never trims.  None of that is here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.types import OVERALL, Candidate, Route, Term
from orchestrator.routing.base import Policy, Pool, Query, Ranking, Router, expected_success
from orchestrator.routing.lots import lots
from skills.memory import Memory


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """The published profiles of ``e`` experts: ``score``, (s, e), with row ``rows[skill]``, and
    ``share``, (e), the global competency γ."""

    rows: dict[str, int]
    score: NDArray[np.float64]
    share: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Urn:
    """What one question's experts are drawn from: their ``weights`` w, (e), by a softmax."""

    query: Query
    weights: NDArray[np.float64]
    temperature: float
    source: random.Random

    def odds(self, among: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The chance, (e), of each expert that ``among`` marks to be drawn; 0 for the others."""
        scaled = np.where(among, self.weights / self.temperature, -np.inf)
        found: NDArray[np.float64] = np.exp(scaled - scaled.max())
        found /= found.sum()
        return found

    def draw(self, k: int, among: NDArray[np.bool_]) -> list[int]:
        """``k`` columns, with replacement."""
        odds = self.odds(among).tolist()
        return self.source.choices(range(len(odds)), odds, k=k)


class SymbolicPaper(Router):
    """Draws experts by the product of local score and global competency."""

    name = "symbolic-paper"
    stays = False

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        allowed = _allowed(pool, policy)
        urn = _urn(query, pool, policy)
        told = "; one question is no batch to trim"
        return _route(urn, urn.draw(_k(policy), allowed), allowed, pool, told)

    def plans_whole(self, pool: Pool) -> bool:
        return True

    def plan(self, queries: Sequence[Query], pool: Pool, policy: Policy) -> list[Route]:
        """The batch's routes; who is drawn for under ``policy.trim`` of it is left out of it."""
        allowed = _allowed(pool, policy)
        urns = [_urn(query, pool, policy) for query in queries]
        draws = [urn.draw(_k(policy), allowed) for urn in urns]
        kept = _kept(draws, allowed, policy)
        gone = [pool.names[column] for column in np.flatnonzero(allowed & ~kept)]
        told = f"; trimmed from the batch: {', '.join(gone) or 'nobody'}"
        return [
            _route(urn, _redrawn(urn, drawn, kept), kept, pool, told)
            for urn, drawn in zip(urns, draws, strict=True)
        ]


def sums(pool: Pool) -> Sums:
    """The published profiles of the pool's experts; computed once a snapshot."""
    return pool.knowledge.once(("published sums", pool.names), lambda: _sums(pool))


def _sums(pool: Pool) -> Sums:
    memory = pool.knowledge.memory
    rows, score = _from_answers(pool, memory) if memory is not None else _from_profiles(pool)
    totals = score.sum(axis=0)
    if totals.min() < 0 < totals.max():
        totals = totals - totals.min()
    pooled = totals.sum()
    share = totals / pooled if pooled else np.full(len(totals), 1 / len(totals))
    return Sums(rows, score, share)


def _from_answers(pool: Pool, memory: Memory) -> tuple[dict[str, int], NDArray[np.float64]]:
    names = sorted({s.skill for skills in memory.skills for s in skills})
    rows = {name: i for i, name in enumerate(names)}
    needs = np.zeros((len(memory), len(rows)))
    for q, skills in enumerate(memory.skills):
        needs[q, [rows[s.skill] for s in skills]] = 1.0
    signs = np.nan_to_num(2.0 * memory.of_experts(pool.names).correct - 1.0)
    return rows, needs.T @ signs


def _from_profiles(pool: Pool) -> tuple[dict[str, int], NDArray[np.float64]]:
    table = pool.table
    names = [name for name in table.rows if name != OVERALL]
    picked = [table.rows[name] for name in names]
    score = table.n[picked] * (2 * table.mean[picked] - 1)
    return {name: i for i, name in enumerate(names)}, score


def _urn(query: Query, pool: Pool, policy: Policy) -> Urn:
    published = sums(pool)
    rows = [published.rows[s.skill] for s in query.skills if s.skill in published.rows]
    weights = published.share * published.score[rows].sum(axis=0)
    source = lots(SymbolicPaper.name, policy.seed, query)
    return Urn(query, weights, policy.temperature, source)


def _allowed(pool: Pool, policy: Policy) -> NDArray[np.bool_]:
    slow = pool.costs.too_slow(policy.latency_s)
    return np.ones(len(pool.names), dtype=bool) if slow is None else ~slow


def _k(policy: Policy) -> int:
    return min(policy.k, policy.most)


def _kept(
    draws: Sequence[Sequence[int]], allowed: NDArray[np.bool_], policy: Policy
) -> NDArray[np.bool_]:
    """Who stays in a batch: the often drawn, and the most often drawn k in any case."""
    asked = Counter(column for drawn in draws for column in set(drawn))
    often = [c for c, n in asked.items() if n >= policy.trim * len(draws)]
    most = sorted(asked, key=lambda c: (-asked[c], c))[: _k(policy)]
    kept = np.zeros(len(allowed), dtype=bool)
    kept[[*often, *most]] = True
    return kept if asked else allowed


def _redrawn(urn: Urn, drawn: Sequence[int], kept: NDArray[np.bool_]) -> list[int]:
    left = [column for column in drawn if kept[column]]
    return [*left, *urn.draw(len(drawn) - len(left), kept)] if len(left) < len(drawn) else left


def _route(
    urn: Urn, drawn: Sequence[int], among: NDArray[np.bool_], pool: Pool, told: str
) -> Route:
    times = Counter(drawn)
    success, sd = expected_success(urn.query.skills, pool.table)

    def make(column: int) -> Candidate:
        terms = _terms(urn.query, pool, column, times[column])
        score, chance = float(urn.weights[column]), float(success[column])
        return Candidate(pool.names[column], score, float(sd[column]), terms, chance)

    odds = urn.odds(among)
    named = ", ".join(f"{pool.names[c]} × {n} (p {odds[c]:.2f})" for c, n in times.items())
    return Route(
        SymbolicPaper.name,
        urn.query.skills,
        Ranking(pool, urn.weights, make, chances=success),
        tuple(pool.names[column] for column in times),
        (),
        f"drawn with replacement: {named}{_remark(urn)}{told}",
        snapshot=pool.knowledge.name,
    )


def _remark(urn: Urn) -> str:
    if not urn.weights.any():
        return "; no skill of the question was ever graded: everyone alike"
    if urn.weights.max() <= 0:
        return "; no weight is positive: the least negative are preferred"
    return ""


def _terms(query: Query, pool: Pool, column: int, times: int) -> tuple[Term, ...]:
    published = sums(pool)
    gamma = float(published.share[column])
    found = [
        Term(
            f"{s.skill} {published.score[published.rows[s.skill], column]:+g} × γ {gamma:.3f}",
            gamma * float(published.score[published.rows[s.skill], column]),
        )
        for s in query.skills
        if s.skill in published.rows
    ]
    drawn = (Term(f"drawn {times} times", 0.0),) if times > 1 else ()
    return (*found, *drawn) or (Term("no skill of the question was graded", 0.0),)
