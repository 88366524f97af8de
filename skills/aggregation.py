"""Trials of making one answer of many: another skill than answering, profiled apart.

Symbolic-MoE (arXiv 2503.05641, section 3.3) shows each candidate one right and two wrong outputs to
a question, shuffled, and counts how often it arrives at the right answer.  So here, with what its
published code leaves out: how many of the outputs are right varies, from none (can it do better
than all of them?) to all (does it spoil what was right?); no output shown is empty, each is of
another expert, and outputs are joined to their question by name, never by row.  Pure;
:mod:`skills.aggregation_profiler` runs them.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.reasoning import without_reasoning
from coterie.task_names import evidence_name
from coterie.types import GradedAnswer, Item, SkillWeight

PREFIX = "aggregation/"
"""Begins the name of the task that graded aggregations are kept under."""

SHOWN = 3
"""Outputs shown; fewer where fewer experts said something."""

FEWEST = 2
"""Of fewer there is nothing to be made."""

UNANIMOUS = 0.5
"""How often all right or all wrong outputs are drawn, where a mixture counts 1: they tell less."""

_ID = re.compile(r"(.*)~\d+of\d+~[0-9a-f]{10}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trial:
    """A question with outputs of different experts, shuffled, some of them right."""

    item: Item
    outputs: tuple[GradedAnswer, ...]

    @property
    def id(self) -> str:
        """The same for the same outputs in the same order, whatever the seed that drew them."""
        told = "\0".join(f"{a.expert}\0{a.output}" for a in self.outputs)
        digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{self.item.id}~{self.right}of{len(self.outputs)}~{digest[:10]}"

    @property
    def right(self) -> int:
        """How many of the outputs are right."""
        return sum(a.correct for a in self.outputs)

    @property
    def skills(self) -> tuple[SkillWeight, ...]:
        """The skills its question needs, as they were when the first output was graded."""
        return self.outputs[0].skills


def is_aggregation(task: str) -> bool:
    """Whether graded answers of ``task`` tell of aggregating, not of answering."""
    return task.startswith(PREFIX)


def trials_name(task: str) -> str:
    """What graded trials of a task's answers are kept under."""
    return PREFIX + evidence_name(task)


def subject_of(answer: GradedAnswer) -> tuple[str, str]:
    """The task and the item of the question that an answer is about; of a trial, the item's own."""
    if not is_aggregation(answer.task):
        return answer.task, answer.item
    trial = _ID.fullmatch(answer.item)
    return answer.task.removeprefix(PREFIX), trial[1] if trial else answer.item


def trials_of(
    answers: Iterable[GradedAnswer],
    items: Sequence[Item],
    *,
    shown: int = SHOWN,
    seed: int = 0,
    limit: int | None = None,
) -> tuple[Trial, ...]:
    """One trial for each of ``items`` that two experts or more said something to.

    ``answers`` are those of the items' own task.  Which outputs are shown depends on the seed and
    the item's own answers alone, and a smaller ``limit`` gives the beginning of what a larger one
    gives.
    """
    by_item: defaultdict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        if without_reasoning(answer.output):
            by_item[answer.item].append(answer)
    drawn = [_draw(i, by_item[i.id], shown, seed) for i in items if len(by_item[i.id]) >= FEWEST]
    found = sorted(((order, trial.item.id, trial) for order, trial in drawn), key=lambda t: t[:2])
    return tuple(trial for _, _, trial in found[:limit])


def _draw(
    item: Item, answers: Sequence[GradedAnswer], shown: int, seed: int
) -> tuple[float, Trial]:
    rng = random.Random(f"{seed}/{item.id}")
    order = rng.random()
    ranked = sorted(answers, key=lambda a: a.expert)
    right = [a for a in ranked if a.correct]
    wrong = [a for a in ranked if not a.correct]
    n = min(shown, len(ranked))
    can = [r for r in range(n + 1) if r <= len(right) and n - r <= len(wrong)]
    [r] = rng.choices(can, [UNANIMOUS if r in (0, n) else 1.0 for r in can])
    drawn = [*rng.sample(right, r), *rng.sample(wrong, n - r)]
    rng.shuffle(drawn)
    return order, Trial(item, tuple(drawn))
