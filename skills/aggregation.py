"""Trials of making one answer of many: another skill than answering, profiled apart.

Symbolic-MoE (arXiv 2503.05641, section 3.3) shows each candidate one right and two wrong outputs to
a question, shuffled, and counts how often it arrives at the right answer.  So here, with what its
published code leaves out: no output shown is empty, each is of another expert, and outputs are
joined to their question by name, never by row.  Pure; :mod:`skills.aggregation_profiler` runs them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.types import GradedAnswer, Item

PREFIX = "aggregation/"
"""Begins the name of the task that graded aggregations are kept under."""

WRONG = 2
"""Wrong outputs shown beside the right one."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A question with outputs of different experts, shuffled, exactly one of them right."""

    item: Item
    outputs: tuple[GradedAnswer, ...]


def is_aggregation(task: str) -> bool:
    """Whether graded answers of ``task`` tell of aggregating, not of answering."""
    return task.startswith(PREFIX)


def trials_of(
    answers: Iterable[GradedAnswer],
    items: Sequence[Item],
    *,
    wrong: int = WRONG,
    seed: int = 0,
    limit: int | None = None,
) -> tuple[Trial, ...]:
    """One trial for each of ``items`` that somebody got right and ``wrong`` others got wrong.

    ``answers`` are those of the items' own task.  Which outputs are shown depends on the seed and
    the item alone, and a smaller ``limit`` gives the beginning of what a larger one gives.
    """
    by_item: defaultdict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        if _says_something(answer.output):
            by_item[answer.item].append(answer)
    drawn = [_draw(item, by_item[item.id], wrong, seed) for item in items if item.id in by_item]
    found = sorted((order, trial.item.id, trial) for order, trial in drawn if trial)
    return tuple(trial for _, _, trial in found[:limit])


def _draw(
    item: Item, answers: Sequence[GradedAnswer], wrong: int, seed: int
) -> tuple[float, Trial | None]:
    rng = random.Random(f"{seed}/{item.id}")
    order = rng.random()
    ranked = sorted(answers, key=lambda a: a.expert)
    right = [a for a in ranked if a.correct]
    others = [a for a in ranked if not a.correct]
    if not right or len(others) < wrong:
        return order, None
    shown = [rng.choice(right), *rng.sample(others, wrong)]
    rng.shuffle(shown)
    return order, Trial(item, tuple(shown))


def _says_something(output: str) -> bool:
    """Whether anything is left once the reasoning is cut, as whoever aggregates cuts it."""
    return bool(output.rsplit("</think>", 1)[-1].strip())
