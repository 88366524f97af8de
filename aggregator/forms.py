"""What the wording of a question's options says of which is right, before anyone is asked.

Writers of multiple-choice questions leave traces: the right option shares more words with the
others (wrong ones are made from it), is more often the careful long one, is seldom the extreme
number.  A conditional logit over such traces (:mod:`aggregator.traces`) is fitted on questions
whose right option is known.

It knows nothing of the subject.  What it learned holds for options written as those of the
profiling questions were, and for no others: a vote that uses it says so in its name.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregator.choice_model import Cases, Matrix, fit, probabilities
from aggregator.traces import features
from aggregator.training import Training

PENALTY = 10.0
FOLDS = 5
WIDEST = 4.0
"""A trace further from its mean than this many spreads counts as this far."""


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """The fitted weights, (p), of the features standardised by ``mean`` and ``sd``, (p) each."""

    weights: Matrix
    mean: Matrix
    sd: Matrix

    def log_prior(self, text: str, choices: tuple[str, ...]) -> Matrix:
        """(o) the log-probability of each option, from how the options are written alone."""
        scores = self.standard(features(text, choices)) @ self.weights
        return np.asarray(np.log(probabilities(scores, np.array([0]))))

    def standard(self, rows: NDArray[np.floating]) -> Matrix:
        """The features in spreads from their mean."""
        return np.asarray(np.clip((rows - self.mean) / self.sd, -WIDEST, WIDEST))

    def as_dict(self) -> dict[str, list[float]]:
        """For JSON."""
        parts = {"weights": self.weights, "mean": self.mean, "sd": self.sd}
        return {name: values.tolist() for name, values in parts.items()}

    @classmethod
    def of_dict(cls, d: Mapping[str, Sequence[float]]) -> Forms:
        """What :meth:`as_dict` gave."""
        return cls(*(np.array(d[name]) for name in ("weights", "mean", "sd")))


def fit_forms(training: Training) -> Forms | None:
    """Fitted on every question with options and a known right one; None where there is none."""
    usable = _usable(training)
    return _fit(training, usable) if usable else None


def held_out_forms(training: Training, *, seed: int = 0) -> list[Matrix]:
    """Each question's log-prior as told by other groups: (o) each; empty where it has no options,
    or no others have."""
    groups, group = np.unique(training.groups, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(groups)) % FOLDS)[group]
    usable = _usable(training)
    found = [np.zeros(0)] * len(training)
    for f in range(FOLDS):
        others = [q for q in usable if fold[q] != f]
        if not others:
            continue
        forms = _fit(training, others)
        for q in usable:
            if fold[q] == f:
                found[q] = forms.log_prior(training.texts[q], training.choices[q])
    return found


def of_answers(prior: Matrix, answers: Iterable[str]) -> Matrix:
    """(a) the log-prior of the options that these answers name; the least of all for any other."""
    options = [option_of(answer) for answer in answers]
    return np.array(
        [prior[i] if i is not None and i < len(prior) else prior.min() for i in options]
    )


def option_of(answer: str) -> int | None:
    """The place of the option that a letter names; None where it is no such letter."""
    return ord(answer) - ord("A") if len(answer) == 1 and "A" <= answer <= "Z" else None


def _usable(training: Training) -> list[int]:
    """The questions that have options, and the right one among them."""
    found = []
    for q, (choices, target) in enumerate(zip(training.choices, training.targets, strict=True)):
        right = option_of(target)
        if len(choices) > 1 and right is not None and right < len(choices):
            found.append(q)
    return found


def _fit(training: Training, which: Sequence[int]) -> Forms:
    """Fitted on the questions ``which``."""
    rows = [features(training.texts[q], training.choices[q]) for q in which]
    stacked = np.concatenate(rows)
    mean, sd = stacked.mean(axis=0, dtype=np.float64), stacked.std(axis=0, dtype=np.float64) + 1e-6
    blank = Forms(np.zeros(stacked.shape[1]), mean, sd)
    sizes = np.array([len(r) for r in rows])
    starts = np.cumsum(sizes) - sizes
    right = starts + [ord(training.targets[q]) - ord("A") for q in which]
    cases = Cases(blank.standard(stacked).astype(np.float32), starts, right, np.ones(len(which)))
    return Forms(fit(cases, np.full(stacked.shape[1], PENALTY)), mean, sd)
