"""Runs experts over aggregation trials and keeps every graded answer, as profiling does.

Refuses to know how several outputs are put to an expert: the caller's ``prompt`` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coterie.ports import Engine
from coterie.types import Completion, Grade, GradedAnswer, Item, Question, Sampling
from skills.aggregation import PREFIX, Trial
from skills.profiler import AnswerStore, Profiler, Report
from skills.questions import StoredQuestion

Prompt = Callable[[Question, Sequence[Completion]], Question]
"""Puts several completions of one question before an expert; their order is part of the trial."""

Grader = Callable[[Item, str], Grade]
"""Grades an output to the original item."""


class AggregationProfiler:
    """Grades experts at making one answer of many.

    Answers are kept under ``aggregation/`` and the name of the ``task`` the trials were made of, so
    that a run resumes, and no aggregation is taken for an answer of the expert's own.
    """

    def __init__(
        self,
        task: str,
        prompt: Prompt,
        grade: Grader,
        store: AnswerStore,
        *,
        sampling: Sampling | None = None,
        concurrency: int = 32,
    ) -> None:
        self._task = task
        self._prompt = prompt
        self._grade = grade
        self._store = store
        self._sampling = sampling
        self._concurrency = concurrency

    async def run(
        self,
        engines: Mapping[str, Engine],
        trials: Sequence[Trial],
        report: Report = lambda progress: None,
    ) -> None:
        """Asks every engine every trial it was not asked before, and stores the graded answers.

        In the profiles made of them ``Profile.aggregation`` is the expert's success, pulled
        towards the pool's.
        """
        task = _Aggregating(PREFIX + self._task, {t.item.id: t for t in trials}, self)
        profiler = Profiler(
            task, _Unskilled(), self._store, sampling=self._sampling, concurrency=self._concurrency
        )
        await profiler.run(engines, task.items("val"), report)

    def question(self, trial: Trial) -> Question:
        """What is asked in a trial."""
        return self._prompt(trial.item.question, [_completion(a) for a in trial.outputs])

    def grade(self, trial: Trial, output: str) -> Grade:
        """Whether ``output`` is right, by the rule of the question it is about."""
        return self._grade(trial.item, output)


@dataclass(frozen=True, slots=True)
class _Aggregating:
    """The trials as a task like any other."""

    name: str
    trials: Mapping[str, Trial]
    profiler: AggregationProfiler = field(repr=False)
    secret: bool = False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        trials = list(self.trials.values())[:limit]
        return [
            Item(t.item.id, self.profiler.question(t), t.item.target, t.item.category)
            for t in trials
        ]

    def grade(self, item: Item, output: str) -> Grade:
        return self.profiler.grade(self.trials[item.id], output)


class _Unskilled:
    """Aggregation is one ability: its trials are not told apart by skill."""

    async def read(
        self, task: str, questions: Sequence[StoredQuestion]
    ) -> dict[str, StoredQuestion]:
        return {q.item: q for q in questions}


def _completion(answer: GradedAnswer) -> Completion:
    return Completion(answer.expert, answer.output, "stop", answer.usage, answer.latency_s)
