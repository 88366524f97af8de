"""The vote: each expert counts by how likely it is to be right.

With p_e the expected success of expert e and M possible answers, of which a wrong expert picks one
of the M - 1 others at random, the posterior odds of an answer multiply p_e (M - 1) / (1 - p_e) over
those who gave it (a naive-Bayes vote; Nitzan and Paroush, 1982, give the two-answer case).  One
expert alone thus has a posterior of exactly p_e, and several weak experts who agree by chance
cannot outvote a strong one.

Prose among answers that can be compared agrees with nobody that can be seen, so it stands as one
more answer, given by its expert alone: a strong expert that talks is not overruled by a weak one
that is brief.  Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from aggregator.extract import canonical_answer, options_of
from coterie.types import Completion, Question, Verdict

OPEN_ANSWERS = 10
"""M for a question without options: wrong answers agree by chance once in M - 1 times."""

PROSE = "\0prose of "
"""Begins the key of an answer that only its expert can have given; no extracted answer does."""


class WeightedVote:
    """Votes on extractable answers; ``least`` is the share of answers that must be extractable."""

    def __init__(self, *, least: float = 0.5) -> None:
        self._least = least

    def judge(
        self, question: Question, completions: Sequence[Completion], scores: Mapping[str, float]
    ) -> Verdict:
        """The most probable answer's best expert; no leader where there is nothing to compare."""
        votes = ballots(question, completions)
        voters = sum(len(v) for v in votes.values())
        if len(completions) == 1:
            return _alone(completions[0].expert, scores, votes)
        if not votes or voters < self._least * len(completions):
            return Verdict(
                None, 0.0, votes, f"{voters} of {len(completions)} answers can be compared"
            )
        readable = {expert for who in votes.values() for expert in who}
        prose = {PROSE + c.expert: (c.expert,) for c in completions if c.expert not in readable}
        given = {**votes, **prose}
        posterior = posteriors(
            given, scores, answers=len(options_of(question.text)) or OPEN_ANSWERS
        )
        answer = max(posterior, key=lambda a: (posterior[a], a))
        leader = max(given[answer], key=lambda e: (scores.get(e, 0.0), e))
        return Verdict(leader, posterior[answer], votes, _reason(given, answer, posterior[answer]))


def ballots(question: Question, completions: Sequence[Completion]) -> Mapping[str, tuple[str, ...]]:
    """Each extracted answer with the experts that gave it."""
    found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for completion in completions:
        answer = canonical_answer(question.text, completion.text)
        if answer is not None:
            found[answer] += (completion.expert,)
    return dict(found)


def posteriors(
    votes: Mapping[str, Sequence[str]], scores: Mapping[str, float], *, answers: int
) -> dict[str, float]:
    """The posterior probability of each answer given; what is left is "none of these"."""
    m = max(answers, len(votes) + 1, 2)
    logit = {a: sum(_weight(scores.get(e, 0.5), m) for e in who) for a, who in votes.items()}
    unseen = math.log(m - len(votes))
    top = max(*logit.values(), unseen)
    total = sum(math.exp(w - top) for w in logit.values()) + math.exp(unseen - top)
    return {a: math.exp(w - top) / total for a, w in logit.items()}


def _weight(p: float, m: int) -> float:
    p = min(max(p, 0.01), 0.99)  # nobody is certain: one vote must never be infinite
    return math.log(p * (m - 1) / (1 - p))


def _alone(
    expert: str, scores: Mapping[str, float], votes: Mapping[str, tuple[str, ...]]
) -> Verdict:
    p = scores.get(expert, 0.5)
    return Verdict(expert, p, votes, f"{expert} alone, expected success {p:.2f}")


def _reason(given: Mapping[str, Sequence[str]], answer: str, posterior: float) -> str:
    for_it, all_of_them = len(given[answer]), sum(len(v) for v in given.values())
    form = " (prose, agreeing with nobody)" if answer.startswith(PROSE) else ""
    return f"{for_it} of {all_of_them} votes{form}, posterior {posterior:.2f}"
