"""Votes that need no training: who says what, and how likely each is to be right.

``majority``: the answer most experts give.

``weighted``: with p_e the expected success of expert e and M possible answers, of which a wrong
expert picks one of the M - 1 others at random, the posterior odds of an answer multiply
p_e (M - 1) / (1 - p_e) over those who gave it (a naive-Bayes vote; Nitzan and Paroush, 1982, give
the two-answer case).  One expert alone thus has a posterior of exactly p_e, and several weak
experts who agree by chance cannot outvote a strong one.

Who names no option of a choice abstains.  On an open question, prose among answers that can be
compared agrees with nobody that can be seen, so it stands as one more answer, given by its expert
alone: a strong expert that talks is not overruled by a weak one that is brief.  Ties go to the
answer of the best expert, then to the answer that sorts first.  Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from aggregator.base import Case
from coterie.types import Ballot, Verdict

OPEN_ANSWERS = 10
"""M for a question without options: wrong answers agree by chance once in M - 1 times."""

LEAST_READABLE = 0.5
"""The share of ballots that must be readable for a vote on an open question."""

PROSE = "\0prose of "
"""Begins the key of an answer that only its expert can have given; no extracted answer does."""


class Weighted:
    """Each expert counts by how likely it is to be right."""

    name = "weighted"

    def judge(self, case: Case) -> Verdict:
        """The most probable answer's best expert; no leader where there is nothing to compare."""
        if (early := undecided(case)) is not None:
            return early
        given = answers_given(case)
        posterior = posteriors(given, case.chances, answers=case.options or OPEN_ANSWERS)
        return verdict(case, given, posterior)


class Majority:
    """Every expert counts the same; agreement is the share of the ballots."""

    name = "majority"

    def judge(self, case: Case) -> Verdict:
        """The most frequent answer's best expert; no leader where there is nothing to compare."""
        if (early := undecided(case)) is not None:
            return early
        given = answers_given(case)
        share = {answer: len(who) / len(case.ballots) for answer, who in given.items()}
        return verdict(case, given, share)


def undecided(case: Case) -> Verdict | None:
    """The verdict where no vote is taken: one ballot alone, or too few that can be read."""
    votes = case.votes
    if len(case.ballots) == 1:
        expert = case.ballots[0].expert
        p = case.chances.get(expert, 0.5)
        return Verdict(expert, p, votes, f"{expert} alone, expected success {p:.2f}")
    readable = sum(ballot.answer is not None for ballot in case.ballots)
    if not enough_read(readable, len(case.ballots), case.options):
        reason = f"{readable} of {len(case.ballots)} answers can be compared"
        return Verdict(None, 0.0, votes, reason)
    return None


def enough_read(readable: int, ballots: int, options: int) -> bool:
    """Whether a vote is taken: one answer that can be read will do for a choice among options."""
    return readable >= (1 if options else max(1, LEAST_READABLE * ballots))


def answers_given(case: Case) -> dict[str, tuple[str, ...]]:
    """Each answer with its experts, in the order of the ballots."""
    found: dict[str, tuple[str, ...]] = {}
    for ballot in case.ballots:
        if (answer := answer_of(ballot, case)) is not None:
            found[answer] = (*found.get(answer, ()), ballot.expert)
    return found


def answer_of(ballot: Ballot, case: Case) -> str | None:
    """What the ballot stands for; to an open question, prose is an answer of its own."""
    prose = ballot.answer is None and not case.options
    return PROSE + ballot.expert if prose else ballot.answer


def verdict(
    case: Case,
    given: Mapping[str, Sequence[str]],
    belief: Mapping[str, float],
    kind: str = "belief",
) -> Verdict:
    """The answer believed most, through its best expert; ``kind`` says what belief that is."""

    def best(answer: str) -> float:
        return max(case.chances.get(expert, 0.5) for expert in given[answer])

    answer = min(given, key=lambda a: (-belief[a], -best(a), a))
    leader = min(given[answer], key=lambda e: (-case.chances.get(e, 0.5), e))
    form = " (prose, agreeing with nobody)" if answer.startswith(PROSE) else ""
    reason = f"{len(given[answer])} of {len(case.ballots)} votes{form}, "
    return Verdict(leader, belief[answer], case.votes, f"{reason}{kind} {belief[answer]:.2f}")


def posteriors(
    votes: Mapping[str, Sequence[str]], chances: Mapping[str, float], *, answers: int
) -> dict[str, float]:
    """The posterior probability of each answer given; what is left is "none of these"."""
    m = max(answers, len(votes) + 1, 2)
    logit = {a: sum(log_odds(chances.get(e, 0.5), m) for e in who) for a, who in votes.items()}
    unseen = math.log(m - len(votes))
    top = max(*logit.values(), unseen)
    total = sum(math.exp(w - top) for w in logit.values()) + math.exp(unseen - top)
    return {a: math.exp(w - top) / total for a, w in logit.items()}


def log_odds(p: float, answers: int) -> float:
    """What one vote of an expert that is right with probability ``p`` adds to its answer."""
    p = min(max(p, 0.01), 0.99)  # nobody is certain: one vote must never be infinite
    return math.log(p * (answers - 1) / (1 - p))
