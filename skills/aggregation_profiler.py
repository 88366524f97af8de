"""Runs experts over aggregation trials and keeps every graded answer, as profiling does.

Refuses to know how several outputs are put to an expert: the caller's ``prompt`` does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coterie.ports import Engine
from coterie.types import Completion, Grade, GradedAnswer, Item, Question, Sampling
from skills.aggregation import Trial, trials_name
from skills.profiler import AnswerStore, Profiler, Report
from skills.questions import StoredQuestion

Prompt = Callable[[str, Question, Sequence[Completion]], Question]
"""Puts several completions of one question before the expert named; their order is part of the
trial."""

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
        rooms: Mapping[str, asyncio.Semaphore] | None = None,
    ) -> None:
        self._task = task
        self._prompt = prompt
        self._grade = grade
        self._store = store
        self._sampling = sampling
        self._concurrency = concurrency
        self._rooms = rooms
        self._asked: dict[tuple[str, str], Question] = {}

    async def run(
        self,
        engines: Mapping[str, Engine],
        trials: Sequence[Trial],
        report: Report = lambda progress: None,
    ) -> None:
        """Asks every engine every trial it was not asked before, and stores the graded answers.

        In the profiles made of them ``Profile.aggregation`` is the expert's success, pulled
        towards the pool's, and ``Profile.aggregation_skills`` that at questions of each skill,
        pulled towards the former.
        """
        by_id = {t.id: t for t in trials}
        async with asyncio.TaskGroup() as group:
            for name, engine in engines.items():
                group.create_task(self._run(name, engine, by_id, report))

    async def _run(
        self, name: str, engine: Engine, trials: Mapping[str, Trial], report: Report
    ) -> None:
        task = _Aggregating(trials_name(self._task), name, trials, self)
        profiler = Profiler(
            task,
            _OfTheQuestion(trials),
            self._store,
            sampling=self._sampling,
            concurrency=self._concurrency,
            rooms=self._rooms,
        )
        items = await asyncio.to_thread(task.items, "val")
        await profiler.run({name: engine}, items, report)

    def question(self, expert: str, trial: Trial) -> Question:
        """What ``expert`` is asked in a trial; one object for all who are asked the same."""
        shown = [completion_of(a) for a in trial.outputs]
        made = self._prompt(expert, trial.item.question, shown)
        return self._asked.setdefault((trial.id, made.text), made)

    def grade(self, trial: Trial, output: str) -> Grade:
        """Whether ``output`` is right, by the rule of the question it is about."""
        return self._grade(trial.item, output)


@dataclass(frozen=True, slots=True)
class _Aggregating:
    """The trials as a task like any other, as they are put to one expert."""

    name: str
    expert: str
    trials: Mapping[str, Trial]
    profiler: AggregationProfiler = field(repr=False)
    secret: bool = False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return [
            Item(id, self.profiler.question(self.expert, t), t.item.target, t.item.category)
            for id, t in list(self.trials.items())[:limit]
        ]

    def grade(self, item: Item, output: str) -> Grade:
        return self.profiler.grade(self.trials[item.id], output)


@dataclass(frozen=True, slots=True)
class _OfTheQuestion:
    """A trial needs the skills its question needs: known already, and nothing is kept anew."""

    trials: Mapping[str, Trial]

    async def read(
        self, task: str, questions: Sequence[StoredQuestion]
    ) -> dict[str, StoredQuestion]:
        return {q.item: replace(q, skills=self.trials[q.item].skills) for q in questions}


def completion_of(answer: GradedAnswer) -> Completion:
    """A stored answer as its expert gave it."""
    return Completion(answer.expert, answer.output, "stop", answer.usage, answer.latency_s)
