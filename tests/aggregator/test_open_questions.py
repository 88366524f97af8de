"""Questions without options have no wording to learn from: every vote works on them too."""

import numpy as np
import pytest

from aggregator.base import Case
from aggregator.learned import LearnedVote
from aggregator.training import Training
from aggregator.votes import VOTES, fitted_vote
from coterie.types import Ballot

Q, EXPERTS = 60, ("strong", "weak")


def open_questions() -> Training:
    """Sums, with answers that are numbers; the strong expert is right in five of six."""
    rng = np.random.default_rng(0)
    right = rng.random((Q, 2)) < (0.85, 0.4)
    answers = np.where(right, "42", np.array(["17", "8"]))
    return Training(
        experts=EXPERTS,
        texts=tuple(f"how much is question {i}?" for i in range(Q)),
        targets=("42",) * Q,
        options=np.zeros(Q, dtype=np.int16),
        choices=((),) * Q,
        context=np.zeros((Q, 0)),
        groups=np.arange(Q),
        answers=answers,
        correct=right.astype(np.float32),
        readings=np.ones((Q, 2), dtype=np.int8),
        tokens=np.full((Q, 2), np.nan, dtype=np.float32),
        chances=np.tile([0.85, 0.4], (Q, 1)),
    )


@pytest.mark.parametrize("name", VOTES)
def test_every_vote_is_fitted_on_open_questions(name: str) -> None:
    vote = fitted_vote(name, open_questions)
    if isinstance(vote, LearnedVote):  # and is kept and restored
        vote = LearnedVote.from_json(vote.to_json())
    ballots = (Ballot("strong", "42"), Ballot("weak", "8"))
    assert vote.judge(Case(ballots, {"strong": 0.85, "weak": 0.4})).leader == "strong"
