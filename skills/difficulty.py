"""How hard every question is and how able every expert, fitted to each other.

An item-response model with one parameter a question (Rasch, 1960), hierarchical in the experts:

    P(expert e is right on question i, as a matter of skill s) = sigmoid(a[s, e] - b[i])

    a[s, e] = level[e] + axis[s] lean[e] + gap[s, e]
    b[i] = base + sum_s w[i, s] topic[s] + deviation[i]

    level ~ N(0, expert²)   lean ~ N(0, 1)   gap ~ N(0, skill²)
    topic ~ N(0, topic²)    deviation ~ N(0, question²)

so that an expert graded on easy questions alone does not look able, and one that is good at
mathematics is expected to be good at physics.  A question that needs several skills counts for
each by its share w: an answer is worth one in all, however it is divided.

Here spreads and axis are given; :mod:`skills.spread` learns them.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array

from skills.profile import Shrinkage

Array = NDArray[np.float64]

LARGEST = 500.0
"""No log-odds are larger: exp would overflow, where a step of the search goes far astray."""

FREE = 2.0
"""The spread of ``base``, how hard questions are altogether: next to no pull."""


class Answers:
    """Graded answers, laid out for the fit: one row a (question, skill) pair, ``p`` in all.

    ``question``, ``skill``: (p) which; ``share``: (p) how much of the question the skill is;
    ``questions``: (s) the sum of those, the number of questions of each skill;
    ``weight``: (p, e) the share where the expert was asked, else 0; ``sign``: (p, e) -1 where the
    answer was right, 1 where it was wrong.
    """

    def __init__(self, correct: NDArray[np.floating], shares: csr_array) -> None:
        """``correct``: (q, e) 1 or 0, NaN where not asked; ``shares``: (q, s), rows sum to one."""
        pairs = shares.tocoo()
        rows, asked = np.arange(len(pairs.data)), ~np.isnan(correct)
        ones = np.ones(len(rows))
        self.shares = shares
        self.question, self.skill, self.share = pairs.row, pairs.col, pairs.data
        self.by_question = csr_array((ones, (pairs.row, rows)), (shares.shape[0], len(rows)))
        self.by_skill = csr_array((ones, (pairs.col, rows)), (shares.shape[1], len(rows)))
        self.questions: Array = self.by_skill @ self.share
        self.weight: Array = pairs.data[:, None] * asked[pairs.row]
        self.sign: Array = 1.0 - 2.0 * np.nan_to_num(correct)[pairs.row]
        self.experts = correct.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Parameters of the model above, in log-odds.

    ``level``, ``lean``: (e); ``axis``, ``topic``: (s); ``gap``: (s, e); ``deviation``: (q).
    """

    level: Array
    lean: Array
    axis: Array
    gap: Array
    base: float
    topic: Array
    deviation: Array
    shrinkage: Shrinkage

    @classmethod
    def start(cls, answers: Answers, shrinkage: Shrinkage) -> Fit:
        """Everybody alike, every question as hard as the next."""
        (q, s), e = answers.shares.shape, answers.experts
        zeros = np.zeros
        return cls(zeros(e), zeros(e), zeros(s), zeros((s, e)), 0.0, zeros(s), zeros(q), shrinkage)

    @property
    def bent(self) -> Array:
        """(s, e) how far each ability is from the expert's level."""
        return np.asarray(np.outer(self.axis, self.lean) + self.gap)

    def chances(self, answers: Answers) -> Array:
        """(p, e) the probability of success at each question, as a matter of each of its skills."""
        return self._chances(answers, self.deviation[answers.question])

    def expected(self, answers: Answers) -> Array:
        """(p, e) the same of questions to come: as varied, but in no skill harder by chance.

        That the few questions seen of a skill deviate to one side is taken for luck, as far as it
        is not in ``topic``.
        """
        deviation = self.deviation[answers.question]
        luck = (answers.by_skill @ (answers.share * deviation)) / answers.questions
        return self._chances(answers, deviation - luck[answers.skill])

    def _chances(self, answers: Answers, deviation: Array) -> Array:
        difficulty = (self.base + answers.shares @ self.topic)[answers.question] + deviation
        logit = (self.level + self.bent)[answers.skill] - difficulty[:, None]
        return np.asarray(1 / (1 + np.exp(np.minimum(-logit, LARGEST))))


def most_probable(answers: Answers, start: Fit, *, tolerance: float = 1e-12) -> Fit:
    """The posterior's maximum with the spreads and the axis of ``start``, looked for from there.

    The posterior has one maximum.  L-BFGS; ends when a step gains less than ``tolerance`` of the
    loss.
    """
    parts = (
        *(start.level, start.lean, start.gap),
        *(np.array([start.base]), start.topic, start.deviation),
    )
    splits = np.cumsum([part.size for part in parts])[:-1]
    prior = _prior(start)
    # Steps are measured in what each parameter is roughly known to: flat directions go far.
    scale = 1 / np.sqrt(prior + _collected(answers, start.axis**2, 0.2 * answers.weight))

    def at(x: Array) -> Fit:
        level, lean, gap, base, topic, deviation = np.split(x, splits)
        return Fit(
            *(level, lean, start.axis, gap.reshape(start.gap.shape)),
            *(float(base[0]), topic, deviation, start.shrinkage),
        )

    def loss(y: Array) -> tuple[float, Array]:
        x = y * scale
        fit = at(x)
        difficulty = fit.base + answers.shares @ fit.topic + fit.deviation
        # An answer's loss is log(1 + odds against it).  In place: these arrays are the whole cost.
        odds = (fit.level + fit.bent)[answers.skill]
        odds -= difficulty[answers.question][:, None]
        odds *= answers.sign
        np.exp(np.minimum(odds, LARGEST, out=odds), out=odds)
        value = np.vdot(answers.weight, np.log1p(odds)) + 0.5 * prior @ x**2
        odds /= 1 + odds
        odds *= answers.sign
        odds *= answers.weight
        slope = _collected(answers, start.axis, odds)
        slope[splits[2] :] *= -1  # difficulties take away
        return float(value), (slope + prior * x) * scale

    options = {"maxiter": 1000, "ftol": tolerance, "gtol": 1e-7, "maxcor": 20}
    first = np.concatenate([part.ravel() for part in parts]) / scale
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options=options)
    return at(found.x * scale)


def _prior(fit: Fit) -> Array:
    """The prior precision of every parameter, in their order."""
    given = fit.shrinkage
    spreads = (given.expert, 1.0, given.skill, FREE, given.topic, given.question)
    sizes = (fit.level.size, fit.lean.size, fit.gap.size, 1, fit.topic.size, fit.deviation.size)
    return np.concatenate([np.full(n, sd**-2) for n, sd in zip(sizes, spreads, strict=True)])


def _collected(answers: Answers, axis: Array, amounts: Array) -> Array:
    """What ``amounts``, (p, e), come to for every parameter, in their order."""
    gap = answers.by_skill @ amounts
    deviation = answers.by_question @ amounts.sum(axis=1)
    topic = answers.shares.T @ deviation
    parts = (gap.sum(axis=0), axis @ gap, gap.ravel(), [deviation.sum()], topic, deviation)
    return np.concatenate(parts)
