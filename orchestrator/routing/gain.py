"""What further votes are worth before they are heard.

Under the naive-Bayes vote (:mod:`aggregator.vote`) expert e names the right one of M answers with
probability p_e, and each of the others with (1 - p_e) / (M - 1).  With π(a) the belief in answer a
so far, the probability that the answer which leads after the votes v_1..v_j is right is

    sum over v of max_a π(a) prod_i P(v_i | a),

an expectation that is never below max_a π(a); the difference is the gain.  One more vote of a
weaker expert can never change the leader, so its gain alone is 0: what matters is what two or three
could do together.  Exact: answers nobody has named yet are alike, so votes are counted up to
renaming those.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LOOKAHEAD = 3
"""How many further votes are looked at together."""


def gain(belief: Sequence[float], chances: Sequence[float], answers: int) -> float:
    """How much likelier the leading answer is to be right once ``chances`` have voted.

    ``belief``: of each answer named so far, at most ``answers`` of them; what is missing to 1 is
    spread over the answers not named.  ``chances``: of those who vote next, ``LOOKAHEAD`` at most.
    """
    seen, j = len(belief), len(chances)
    unseen = max(answers - seen, 0)
    each = max(1.0 - sum(belief), 0.0) / unseen if unseen else 0.0
    votes, fresh = _patterns(seen, j)
    p = np.clip(np.asarray(chances, dtype=float), 0.0, 1.0)
    wrong = (1 - p) / max(answers - 1, 1)
    named = np.arange(seen + j + 1)
    like = np.where(votes[:, :, None] == named, p[:, None], wrong[:, None]).prod(axis=1)
    prior = np.array([*belief, *[each] * (j + 1)])
    # The last answers stand for those nobody names in this pattern: there must be one.
    exists = (named < (seen + fresh)[:, None]) | (unseen > fresh)[:, None]
    best = np.where(exists, prior * like, 0.0).max(axis=1)
    before = max([*belief, each])
    return float(_ways(unseen, fresh) @ best) - before


@lru_cache(maxsize=256)
def _patterns(seen: int, voters: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The votes, (v, voters), up to renaming answers not seen before, and how many of those each
    pattern names, (v): the i-th such answer is ``seen + i``."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(voters):
        found = [(*votes, vote) for votes in found for vote in range(max([seen - 1, *votes]) + 2)]
    votes = np.array(found, dtype=np.intp).reshape(len(found), voters)
    highest = votes.max(axis=1, initial=seen - 1)
    return votes, np.maximum(highest - seen + 1, 0)


def _ways(unseen: int, fresh: NDArray[np.intp]) -> NDArray[np.float64]:
    """In how many ways ``fresh`` answers can be picked, in order, out of ``unseen``."""
    found = np.ones(len(fresh))
    for i in range(int(fresh.max(initial=0))):
        found *= np.where(fresh > i, max(unseen - i, 0), 1)
    return found
