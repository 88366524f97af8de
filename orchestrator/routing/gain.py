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

import math
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
    hits, ways = _patterns(seen, j, unseen)
    joint = np.array([*belief, *[each] * (j + 1)])
    for i, p in enumerate(chances):
        joint = joint * np.where(hits[:, i], p, (1 - p) / max(answers - 1, 1))
    return float((ways * joint).max(axis=1).sum()) - max([*belief, each])


@lru_cache(maxsize=1024)
def _patterns(seen: int, voters: int, unseen: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The votes up to renaming answers nobody named before; v patterns and a answers.

    Answers are the ``seen``, then a place for each answer a voter may be the first to name, then
    one for those that stay unnamed.  Gives whether each voter names each answer, (v, voters, a),
    and in how many ways each pattern can come about, (v, a): 0 for an answer there is none of.
    """
    found: list[tuple[int, ...]] = [()]
    for _ in range(voters):
        found = [(*votes, vote) for votes in found for vote in range(max([seen - 1, *votes]) + 2)]
    named = np.arange(seen + voters + 1)
    fresh = [max([seen - 1, *votes]) + 1 - seen for votes in found]
    ways = np.array([[math.perm(unseen, n)] for n in fresh], dtype=float)
    exists = np.array([(named < seen + n) | (unseen > n) for n in fresh])
    hits = np.array(found, dtype=np.intp).reshape(len(found), voters, 1) == named
    return hits, ways * exists
