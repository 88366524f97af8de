"""Graded answers become profiles: probabilities of success, with shrinkage and uncertainty.

Symbolic-MoE (arXiv 2503.05641, section 3.1) adds +1 or -1 per keyword; such a sum mixes up how
often a skill occurred, how hard its questions were and how good the expert is.  Here an expert's
estimate for a skill is its probability of success on a question *as they are found in that skill*:
the fit of :mod:`skills.spread`, averaged over all profiled questions of the skill, whoever was
asked them.  Experts graded on different questions are therefore comparable, and where everybody
was graded on the same ones the estimate is the expert's shrunken rate (the fit's own condition).

A skill seen a few times stays near the expert's overall rate, and the spread says how little is
known: of the ability (the posterior's curvature, by the delta method), and of the skill (other
questions would have been harder or easier).  Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from coterie.types import OVERALL, Estimate, GradedAnswer, Profile, SkillWeight
from skills.aggregation import is_aggregation
from skills.difficulty import FREE, Answers, Array, Fit
from skills.effort import effort_in, efforts_of
from skills.graded import memory_of
from skills.memory import Memory
from skills.profile import UNKNOWN, Shrinkage
from skills.spread import Precision, fit


def estimate_profiles(memory: Memory, shrinkage: Shrinkage | None = None) -> tuple[Profile, ...]:
    """The profile of every expert in ``memory``, by name.

    An answer counts for each of its question's skills by that skill's weight.  A skill an expert
    was never graded on, but others were, is estimated from its level and the skill's difficulty,
    with ``n`` 0.  An expert without any graded answer is unknown.
    """
    graded = ~np.isnan(memory.correct)
    rows, columns = np.flatnonzero(graded.any(axis=1)), np.flatnonzero(graded.any(axis=0))
    found = {name: Profile(name, UNKNOWN) for name in memory.experts}
    if len(rows):
        kept = memory.at(rows).of_experts([memory.experts[i] for i in columns])
        found |= {p.expert: p for p in _profiles(kept, shrinkage or Shrinkage())}
    return tuple(found[name] for name in sorted(found))


def profiles_of(
    answers: Iterable[GradedAnswer], shrinkage: Shrinkage | None = None
) -> tuple[Profile, ...]:
    """The profiles of every expert that occurs in ``answers``, by name, aggregation included."""
    answers = list(answers)
    answering = [a for a in answers if not is_aggregation(a.task)]
    aggregating = [a for a in answers if is_aggregation(a.task)]
    found = {a.expert: Profile(a.expert, UNKNOWN) for a in answers}
    found |= {p.expert: p for p in estimate_profiles(memory_of(answering), shrinkage)}
    found |= _with_aggregation(found, estimate_profiles(memory_of(aggregating)))
    efforts = efforts_of(answering)
    return tuple(replace(found[name], effort=efforts.get(name)) for name in sorted(found))


def _with_aggregation(
    found: Mapping[str, Profile], aggregating: Iterable[Profile]
) -> dict[str, Profile]:
    """Profiles with what the same fit, over trials of aggregation alone, says of that ability."""
    return {
        a.expert: replace(found[a.expert], aggregation=a.overall, aggregation_skills=a.skills)
        for a in aggregating
    }


def skill_shares(skills: Sequence[Sequence[SkillWeight]]) -> tuple[list[str], csr_array]:
    """The names of the skills, in order, and each question's shares of them: (q, s), rows sum to 1.

    A question without skills counts for the overall rate alone.
    """
    whole = (SkillWeight(OVERALL, 1.0, 1.0),)
    needs = [tuple(w for w in ws if w.weight > 0) or whole for ws in skills]
    names = sorted({w.skill for ws in needs for w in ws})
    column = {name: i for i, name in enumerate(names)}
    rows = [i for i, ws in enumerate(needs) for _ in ws]
    columns = [column[w.skill] for ws in needs for w in ws]
    weights = [w.weight / sum(v.weight for v in ws) for ws in needs for w in ws]
    return names, csr_array((weights, (rows, columns)), (len(needs), len(names)))


@dataclass(frozen=True, slots=True, eq=False)
class _Estimates:
    """Means, spreads and counts: of one expert at each skill (s, e), or overall (e)."""

    mean: Array
    sd: Array
    n: Array

    def at(self, *index: int) -> Estimate:
        return Estimate(float(self.mean[index]), float(self.sd[index]), float(self.n[index]))


def _profiles(memory: Memory, shrinkage: Shrinkage) -> Iterable[Profile]:
    names, shares = skill_shares(memory.skills)
    answers = Answers(memory.correct, shares)
    fitted = fit(answers, shrinkage)
    precision = Precision.of(fitted, answers)
    by_skill = _by_skill(fitted, answers, precision)
    overall = _overall(fitted, answers, precision)
    shown = [(row, name) for row, name in enumerate(names) if name != OVERALL]
    for column, expert in enumerate(memory.experts):
        skills = {name: by_skill.at(row, column) for row, name in shown}
        effort = effort_in(memory.tokens[:, column])
        yield Profile(expert, overall.at(column), skills, effort)


def _by_skill(fitted: Fit, answers: Answers, precision: Precision) -> _Estimates:
    """(s, e) success at the questions of each skill, weighed by their share of it."""
    chances, spreads = fitted.expected(answers), fitted.shrinkage
    share, questions = answers.share[:, None], answers.questions[:, None]
    mean = answers.by_skill @ (share * chances) / questions
    slope = answers.by_skill @ (share * chances * (1 - chances)) / questions
    topic = 1 / (spreads.topic**-2 + questions / spreads.question**2)
    variance = slope**2 * (precision.ability + topic)
    return _Estimates(mean, _sd(mean, variance), answers.by_skill @ answers.weight)


def _overall(fitted: Fit, answers: Answers, precision: Precision) -> _Estimates:
    """(e) success at all profiled questions."""
    chances, q = fitted.expected(answers), answers.shares.shape[0]
    share = answers.share[:, None]
    mean = (share * chances).sum(axis=0) / q
    slope = answers.by_skill @ (share * chances * (1 - chances)) / q
    base = 1 / (FREE**-2 + q / fitted.shrinkage.question**2)
    variance = precision.of_sum(slope) + slope.sum(axis=0) ** 2 * base
    return _Estimates(mean, _sd(mean, variance), answers.weight.sum(axis=0))


def _sd(mean: Array, variance: Array) -> Array:
    """The spread of a probability, from the delta method's ``variance``.

    Log-odds may lie anywhere, a probability cannot: it varies by ``mean`` (1 - ``mean``) at most.
    """
    return np.asarray(1 / np.sqrt(1 / variance + 1 / (mean * (1 - mean))))
