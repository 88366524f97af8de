"""One recorded question asked as if for real, and a strategy's run over many of them.

An answer is shown only when its expert is asked: routers and votes get the query and the ballots
of those who were, and nothing else of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.base import Case, Vote
from coterie.types import Ballot, Reading, Route, Verdict
from evals.recorded import Recording
from orchestrator.replay.material import Material
from orchestrator.routing import Policy, Pool, Query, Router, chances
from orchestrator.routing.outlook import outlook

NOBODY = Verdict(None, 0.0, {}, "nobody answered")


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """How the questions ``rows`` went.

    ``right``: (n) whether the answer was right; ``asked``: (n, e) how often each expert was asked.
    """

    rows: NDArray[np.intp]
    right: NDArray[np.bool_]
    asked: NDArray[np.int16]

    @classmethod
    def joined(cls, runs: Sequence[Run]) -> Run:
        """Several runs as one."""
        return cls(
            np.concatenate([r.rows for r in runs]),
            np.concatenate([r.right for r in runs]),
            np.concatenate([r.asked for r in runs]),
        )


class Sheet:
    """The recorded answers, shown one expert at a time."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._columns = {name: i for i, name in enumerate(recording.experts)}

    def column(self, expert: str) -> int:
        """The expert's place in the recording."""
        return self._columns[expert]

    def ballot(self, row: int, expert: str) -> Ballot | None:
        """What the expert answered; None where nothing is recorded: it abstains."""
        r, column = self._recording, self._columns[expert]
        if np.isnan(r.correct[row, column]):
            return None
        tokens = r.tokens[row, column]
        return Ballot(
            expert,
            str(r.answers[row, column]) or None,
            Reading(int(r.readings[row, column])),
            None if np.isnan(tokens) else int(tokens),
        )

    def is_right(self, row: int, leader: str, asked: Sequence[str]) -> bool:
        """Whether the answer of ``leader`` is right.

        It is if it was graded so, for whomever of ``asked`` that gave it.  Where nothing was read
        out of it, its own grade counts.
        """
        r, column = self._recording, self._columns[leader]
        answer = r.answers[row, column]
        if not answer:
            return bool(r.correct[row, column] == 1)
        columns = [self._columns[name] for name in asked]
        given = r.answers[row, columns] == answer
        return bool((r.correct[row, columns][given] == 1).any())


def run(
    router: Router,
    vote: Vote,
    pool: Pool,
    material: Material,
    rows: NDArray[np.intp],
    policy: Policy,
) -> Run:
    """Asks the questions ``rows``, one after the other; none is learned from."""
    sheet = Sheet(material.recording)
    right = np.zeros(len(rows), dtype=np.bool_)
    asked = np.zeros((len(rows), len(pool.experts)), dtype=np.int16)
    queries = [material.query(row) for row in rows.tolist()]
    routes = router.plan(queries, pool, policy)
    for i, (row, query, route) in enumerate(zip(rows.tolist(), queries, routes, strict=True)):
        session = Session(router, vote, pool, material, sheet, row, query, route, policy)
        right[i] = session.answer()
        for name in session.asked:
            asked[i, sheet.column(name)] += 1
    return Run(rows, right, asked)


class Session:
    """One question: route, ask, judge, recruit, until the strategy has enough.

    A question counts as wrong if an answer it called for is not recorded: what it would have
    changed cannot be known.

    Nobody is asked beyond ``policy.most``, whatever the strategy says: its own order decides who
    is left out.
    """

    def __init__(
        self,
        router: Router,
        vote: Vote,
        pool: Pool,
        material: Material,
        sheet: Sheet,
        row: int,
        query: Query,
        route: Route,
        policy: Policy,
    ) -> None:
        self._router, self._vote, self._pool, self._policy = router, vote, pool, policy
        self._sheet, self._row = sheet, row
        self._query, self._route = query, route
        self._choices = material.recording.choices[row]
        self._lost = False  # somebody was asked whose answer is not recorded
        self.asked: tuple[str, ...] = ()
        self.ballots: tuple[Ballot, ...] = ()

    def answer(self) -> bool:
        """Whether the answer they come to is right."""
        query, pool, policy, route = self._query, self._pool, self._policy, self._route
        verdict = NOBODY
        waiting = route.chosen
        while waiting and len(self.asked) < policy.most:
            self._ask(waiting[: policy.most - len(self.asked)])
            verdict = self._judge(route)
            waiting = self._router.recruit(
                query, pool, policy, route, self.ballots, verdict, self.asked
            )
        leader = verdict.leader or self._stand_in(route)
        if leader is None or self._lost:
            return False
        return self._sheet.is_right(self._row, leader, self.asked)

    def _ask(self, names: Sequence[str]) -> None:
        given = [ballot for name in names if (ballot := self._sheet.ballot(self._row, name))]
        self.asked = (*self.asked, *names)
        self.ballots = (*self.ballots, *given)
        self._lost = self._lost or len(given) < len(names)

    def _judge(self, route: Route) -> Verdict:
        if not self.ballots:
            return NOBODY
        query = self._query
        known = outlook(query, self._pool, route)
        return self._vote.judge(
            Case(
                self.ballots,
                known.chances,
                query.options,
                query.skills,
                query.text,
                self._choices,
                known.context,
            )
        )

    def _stand_in(self, route: Route) -> str | None:
        """Whose answer stands where the vote has no leader: online, a synthesis would follow.

        Of those whose answer could be read, the likeliest to be right; else who was asked first.
        """
        expected = chances(route)
        read = [b.expert for b in self.ballots if b.answer is not None]
        if read:
            return min(read, key=lambda name: (-expected.get(name, 0.0), name))
        return next(iter(self.asked), None)
