"""Graded answers as choices among alternatives, which is what the learned vote is fitted on.

Each question is a case for each part of the panel that is tried on it: its alternatives are the
answers that these experts gave, and "none of these".  Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.choice_model import Cases, Matrix
from aggregator.forms import of_answers
from aggregator.manner import (
    N_MANNER,
    N_NONE,
    N_SHARED,
    Lengths,
    manner_features,
    none_features,
    shared_features,
)
from aggregator.training import Training
from aggregator.vote import PROSE, enough_read

SHARED, LOG_ODDS = 1.0, 0.1
CONSTANT, MANNER, ABOUT = 1.0, 10.0, 15.0
FORM, FORM_BY_SHARE = 0.1, 5.0
NONE = 0.1
"""Penalties of the weights, chosen by cross-validated log-loss on a profile split."""

PARTS = 4
"""Random parts of the panel that every question is fitted on, besides the whole and the best."""

BY_MERIT = 0.15
"""How much likelier the better experts are to be drawn for a part."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """``shared``: (s), alike for everyone; ``none``: (3) of "none of these"; ``form``: (2) of the
    options' wording, the second times the share of the panel that was asked; ``own``: (e, y)."""

    shared: Matrix
    none: Matrix
    form: Matrix
    own: Matrix


class Alternatives:
    """The cases of ``training``.

    ``lengths``: (e); ``wording``: what the options' wording says of each question, (o), as told by
    other questions, where it counts.
    """

    def __init__(
        self,
        training: Training,
        lengths: Sequence[Lengths],
        wording: Sequence[Matrix] | None = None,
    ) -> None:
        t = self._t = training
        self._wording = wording
        unusual = np.zeros(t.tokens.shape)
        for e, usual in enumerate(lengths):
            unusual[:, e] = [usual.unusual(n) for n in t.tokens[:, e]]
        self._shared = shared_features(t.chances, t.readings, unusual)
        about = np.broadcast_to(t.context[:, None, :], (*t.answers.shape, t.context.shape[1]))
        self._own = np.concatenate([manner_features(t.readings, unusual), about], axis=2)
        self._ends = np.cumsum([N_SHARED, N_NONE, 2]).tolist()
        self._width = self._own.shape[2]
        self.size = self._ends[-1] + len(t.experts) * self._width

    def penalties(self) -> Matrix:
        """(p) in the order of the features: shared, none, form, each expert's own."""
        first = [LOG_ODDS] + [SHARED] * (N_SHARED - 1) + [NONE] * N_NONE + [FORM, FORM_BY_SHARE]
        own = [CONSTANT] + [MANNER] * (N_MANNER - 1) + [ABOUT] * (self._width - N_MANNER)
        return np.array(first + own * len(self._t.experts))

    def parted(self, weights: Matrix) -> Weights:
        """The weights, (p), by what they are of."""
        shared, none, form, own = np.split(weights, self._ends)
        return Weights(shared, none, form, own.reshape(len(self._t.experts), self._width))

    def cases(self, seed: int) -> Cases | None:
        """Every question for each part of the panel; all parts together weigh one question.

        None where no question has two alternatives.
        """
        parts = list(panels(self._t, seed))
        found = [
            self._case(q, asked[q], given)
            for asked in parts
            for q in range(len(self._t))
            if (given := self._given(q, asked[q]))
        ]
        if not found:
            return None
        rows = [block for block, _ in found]
        sizes = np.array([len(block) for block in rows])
        starts = np.cumsum(sizes) - sizes
        right = starts + [which for _, which in found]
        weights = np.full(len(found), 1 / len(parts))
        return Cases(np.concatenate(rows), starts, right, weights)

    def _given(self, q: int, asked: NDArray[np.bool_]) -> dict[str, list[int]]:
        """Each answer to question ``q``, sorted, with the columns of those asked who gave it.

        As in :func:`aggregator.vote.answers_given`; nothing where no vote would be taken.
        """
        t, found = self._t, dict[str, list[int]]()
        for e in np.flatnonzero(asked & (t.answers[q] != "")).tolist():
            found.setdefault(str(t.answers[q, e]), []).append(e)
        prose = np.flatnonzero(asked & (t.answers[q] == "") & ~np.isnan(t.correct[q])).tolist()
        read = sum(map(len, found.values()))
        if not enough_read(read, read + len(prose), int(t.options[q])):
            return {}
        if not t.options[q]:
            found |= {PROSE + t.experts[e]: [e] for e in prose}
        return dict(sorted(found.items()))

    def _case(
        self, q: int, asked: NDArray[np.bool_], given: Mapping[str, Sequence[int]]
    ) -> tuple[Rows, int]:
        """(a + 1, p) the answers and "none of these" as features, and which of them is right."""
        shared, none, form = self._ends
        block = np.zeros((len(given) + 1, self.size), np.float32)
        own = block[:, form:].reshape(len(block), len(self._t.experts), self._width)
        for at, columns in enumerate(given.values()):
            for e in columns:
                block[at, :shared] += self._shared[q, e]
                own[at, e] = self._own[q, e]
        voters = [e for columns in given.values() for e in columns]
        block[-1, shared:none] = none_features(len(voters), float(self._t.chances[q, voters].max()))
        if self._wording is not None and len(self._wording[q]):
            prior = of_answers(self._wording[q], list(given))
            block[:-1, none] = prior
            block[:-1, none + 1] = prior * (asked.sum() / len(asked))
        return block, self._right(q, given)

    def _right(self, q: int, given: Mapping[str, Sequence[int]]) -> int:
        """The target's place; else that of prose that was graded right; else "none of these"."""
        answers = list(given)
        if self._t.targets[q] in given:
            return answers.index(self._t.targets[q])
        prose = (i for i, a in enumerate(answers) if a.startswith(PROSE))
        return next((i for i in prose if self._t.correct[q, given[answers[i]][0]] == 1), len(given))


def panels(training: Training, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Who is asked, (q, e): everyone, the best three and five, and random parts of the panel."""
    n, e = training.answers.shape
    yield np.ones((n, e), dtype=bool)
    for k in (3, 5):
        if k < e:
            yield _ranked(-training.chances) < k
    rng = np.random.default_rng(seed)
    sizes = [k for k in (1, 2, 3, 3, 4, 5, 5, e // 2) if 0 < k < e] or [e]
    chances = np.clip(training.chances, 1e-9, 1 - 1e-9)
    merit = BY_MERIT * np.log(chances / (1 - chances))
    for _ in range(PARTS):
        k = rng.choice(sizes, n)
        yield _ranked(-(rng.random((n, e)) + merit)) < k[:, None]


def _ranked(values: Matrix) -> NDArray[np.intp]:
    """(q, e) the place of each value in its row, the smallest at 0."""
    return np.argsort(np.argsort(values, axis=1), axis=1)
