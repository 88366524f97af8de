"""Routing to experts that have no profile yet, by what they are said to be good at.

Source: instruction-level routing (Glider, arXiv 2410.07172; PHATGOOSE, arXiv 2402.05859) for LoRA
experts nobody has graded, with what its owner says of it in place of an instruction written by an
LLM: its description and tags, and examples of what it was trained on.  The cosine c of the question
to these becomes a chance.  c is the mean of the ``NEAREST`` texts that are nearest, as for skills,
so that one lucky example does not decide; of the whole prompt's and its task instruction's
(:mod:`orchestrator.instructions`) the greater, since what is asked for may be hidden by what it is
asked about, and a system message may say nothing of either.

With "mean" the mean chance of the profiled experts on this question, "best" and "worst" the
extremes, and t = (c - LOW) / (HIGH - LOW):

==============  ===============================================================================
c               chance
==============  ===============================================================================
under LOW       mean - (mean - worst) × (1 - c / LOW): it is said to be good at something else
LOW to HIGH     mean + (best - mean) × t: never above the best profiled expert
HIGH or more    best + (1 - best) / 2 × (t - 1), t at most 2: decisive, it is asked first
==============  ===============================================================================

LOW and HIGH were read off the demo's validation questions with the default encoder: for four in
five the description of another task is under 0.15, and never over 0.45; that of the question's own
task lies between 0.18 and 0.46 for four in five.  Nobody profiled: mean 0.5, best 0.75, worst 0.25.
An expert that has a profile keeps its measured chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coterie.types import Route, Term
from orchestrator.routing.base import (
    Policy,
    Pool,
    Query,
    expected_success,
    ranked,
    skill_terms,
)
from orchestrator.routing.symbolic import OneOrFew, one_or_few

LOW, HIGH = 0.15, 0.45
NEAREST = 2
UNMEASURED = (0.25, 0.5, 0.75)
"""Worst, mean and best chance where nobody has a profile."""


class Instruction(OneOrFew):
    """As ``symbolic``, with a chance for every expert that nobody graded yet."""

    name = "instruction"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        success, sd = expected_success(query.skills, pool.table)
        fresh = pool.table.n[0] == 0
        likeness = _likeness(query, pool, fresh)
        guessed = guesses(success, fresh, likeness)

        def terms(column: int) -> tuple[Term, ...]:
            if fresh[column]:
                return (Term(_label(float(likeness[column])), float(guessed[column])),)
            return skill_terms(query.skills, pool.table, column)

        ranking = ranked(pool, policy, guessed, sd, terms)
        return one_or_few(self.name, query, pool, policy, ranking)


def guesses(
    success: NDArray[np.float64], fresh: NDArray[np.bool_], likeness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each expert's chance, (e): as measured, or for the ``fresh`` by their ``likeness``.

    ``success``: (e) measured chances; ``likeness``: (e) cosines, NaN where there is nothing to
    compare, which leaves the mean.
    """
    if not fresh.any():
        return success
    known = success[~fresh]
    worst, mean, best = (known.min(), known.mean(), known.max()) if len(known) else UNMEASURED
    t = (likeness - LOW) / (HIGH - LOW)
    below = mean - (mean - worst) * (1 - np.clip(likeness, 0.0, LOW) / LOW)
    between = mean + (best - mean) * np.clip(t, 0.0, 1.0)
    above = best + (1 - best) / 2 * np.clip(t - 1, 0.0, 1.0)
    guessed = np.select([np.isnan(likeness), t < 0, t < 1], [mean, below, between], above)
    return np.where(fresh, guessed, success)


def _likeness(query: Query, pool: Pool, fresh: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(e) how like the question each fresh expert's texts are, NaN where it has none."""
    found = np.full(len(pool.names), np.nan)
    asked = [vector for vector in (query.vector, query.instruction) if vector is not None]
    for column in np.flatnonzero(fresh):
        texts = pool.descriptions.get(pool.names[column])
        if asked and texts is not None:
            cosines = np.sort(np.stack(asked) @ np.atleast_2d(texts).T, axis=1)
            found[column] = float(cosines[:, -NEAREST:].mean(axis=1).max())
    return found


def _label(likeness: float) -> str:
    if np.isnan(likeness):
        return "no profile and nothing to compare: the pool's mean"
    return f"no profile yet; what is said of it is like the question at {likeness:.2f}"
