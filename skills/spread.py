"""How widely experts differ, learned from their answers, and how sharply each is known.

The fit of :mod:`skills.difficulty` is repeated; between fits the spreads of levels and gaps are
re-estimated (Schall, 1991: sum of squares over effective degrees of freedom), and the axis along
which experts lean is the main direction of their deviations, as far as it is longer than chance
would make it (the edge of Marchenko and Pastur, 1967).  Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from skills.difficulty import Answers, Array, Fit, most_probable
from skills.profile import Shrinkage

ROUNDS = 5
"""Fits between which the spreads are re-estimated.  Always as many: a rule that stops early would
make estimates jump."""


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """How sharply abilities are known, from the posterior's curvature, difficulties taken as known.

    ``own``: (s, e) the precision of an ability if the expert's traits, level and lean, were known;
    ``traits``: (e, 2, 2) their covariance; ``pull``: (s, e) by how much an ability moves with them;
    ``loadings``: (s, 2) what it moves by.
    """

    own: Array
    traits: Array
    pull: Array
    loadings: Array

    @classmethod
    def of(cls, fit: Fit, answers: Answers) -> Precision:
        """The curvature at ``fit``."""
        chances = fit.chances(answers)
        information = answers.by_skill @ (answers.weight * chances * (1 - chances))
        prior = fit.shrinkage.skill**-2
        own = information + prior
        loadings = np.stack([np.ones_like(fit.axis), fit.axis], axis=1)
        known = np.einsum("se,si,sj->eij", information * prior / own, loadings, loadings)
        known += np.diag([fit.shrinkage.expert**-2, 1.0])
        return cls(own, np.linalg.inv(known), prior / own, loadings)

    @property
    def ability(self) -> Array:
        """(s, e) the posterior variance of each ability."""
        return 1 / self.own + self.pull**2 * self._shared

    @property
    def gap(self) -> Array:
        """(s, e) the posterior variance of each gap."""
        return 1 / self.own + (1 - self.pull) ** 2 * self._shared

    @property
    def level(self) -> Array:
        """(e) the posterior variance of each level."""
        return np.asarray(self.traits[:, 0, 0])

    @property
    def _shared(self) -> Array:
        """(s, e) the variance of what the traits make of each ability."""
        x = self.loadings
        return np.asarray(np.einsum("si,eij,sj->se", x, self.traits, x))

    def of_sum(self, slope: Array) -> Array:
        """(e) the posterior variance of ``slope``, (s, e), times the abilities, summed."""
        together = np.einsum("se,si->ei", slope * self.pull, self.loadings)
        apart = (slope**2 / self.own).sum(axis=0)
        return np.asarray(apart + np.einsum("ei,eij,ej->e", together, self.traits, together))


def fit(answers: Answers, shrinkage: Shrinkage) -> Fit:
    """Abilities and difficulties, with the spreads the data supports."""
    found = Fit.start(answers, shrinkage)
    if math.isfinite(shrinkage.trust):
        for _ in range(ROUNDS):
            found = most_probable(answers, found, tolerance=1e-7)
            found = _respread(found, answers, shrinkage)
    return most_probable(answers, found)


def _respread(found: Fit, answers: Answers, given: Shrinkage) -> Fit:
    """The same abilities, under the spreads and the axis that suit them.

    The spreads are held back by ``given.trust`` times those given.
    """
    used, precision = found.shrinkage, Precision.of(found, answers)

    def spread(values: Array, variances: Array, used: float, prior: float) -> float:
        known = (1 - variances / used**2).sum()  # effective degrees of freedom
        squares = (values**2).sum() + given.trust * prior**2
        return math.sqrt(squares / (known + given.trust))

    expert = spread(found.level, precision.level, used.expert, given.expert)
    skill = spread(found.gap, precision.gap, used.skill, given.skill)
    axis = main_axis(found.bent)
    return replace(
        found,
        axis=axis,
        lean=np.zeros_like(found.lean),
        gap=found.bent,
        shrinkage=replace(used, expert=expert, skill=skill),
    )


def main_axis(bent: Array) -> Array:
    """(s) the direction in which ``bent``, (s, e), is longest, as long as one expert's share of it.

    Of noise alone the longest direction has a certain length too: that much is taken off, and
    nothing is left where there are too few skills or experts to tell.
    """
    s, e = bent.shape
    if s < 3 or e < 3:
        return np.zeros(s)
    left, lengths, _ = np.linalg.svd(bent, full_matrices=False)
    noise = (lengths[1:] ** 2).sum() / ((s - 1) * (e - 2))
    edge = noise * (math.sqrt(s) + math.sqrt(e - 1)) ** 2
    return np.asarray(left[:, 0] * math.sqrt(max(lengths[0] ** 2 - edge, 0.0) / e))
