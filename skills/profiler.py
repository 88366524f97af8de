"""Runs an expert over a task's validation questions and keeps every graded answer.

A run that was cut short resumes: questions the store already holds an answer to are not asked
again.  Refuses to know where answers are kept (the store) or how they are graded (the task).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coterie.errors import EngineError
from coterie.ports import Engine, Task
from coterie.types import Grade, GradedAnswer, Item, Reading, Sampling
from skills.questions import StoredQuestion

log = logging.getLogger(__name__)


class AnswerStore(Protocol):
    """Where graded answers are kept."""

    async def answered_items(self, expert: str, task: str) -> set[str]: ...

    async def save_answers(self, answers: Sequence[GradedAnswer]) -> None: ...


class Reader(Protocol):
    """Finds out which skills questions need, and keeps the questions with them."""

    async def read(
        self, task: str, questions: Sequence[StoredQuestion]
    ) -> Mapping[str, StoredQuestion]: ...


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a vote would see: the ``choices`` a question's text gives (none: an open one), and the
    :class:`coterie.types.Reading` of an output to it."""

    choices: Callable[[str], tuple[str, ...]] = lambda question: ()
    reading: Callable[[str, str], Reading] = lambda question, output: Reading.STATED


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a profiling run is: ``done`` of ``total`` answers, ``failed`` of them not given."""

    expert: str
    done: int
    total: int
    failed: int = 0


Report = Callable[[Progress], None]


class Profiler:
    """Grades experts on one task.

    ``concurrency`` is how many questions one expert is asked at a time: an engine that batches
    wants many.  Experts that share one of ``rooms`` are asked so many together as it lets in.
    Answers are saved ``batch`` at a time, so that a crash loses few.
    """

    def __init__(
        self,
        task: Task,
        reader: Reader,
        store: AnswerStore,
        *,
        extraction: Extraction | None = None,
        sampling: Sampling | None = None,
        concurrency: int = 32,
        rooms: Mapping[str, asyncio.Semaphore] | None = None,
        batch: int = 16,
    ) -> None:
        self.task = task
        self._reader = reader
        self._store = store
        self._extraction = extraction or Extraction()
        self._sampling = sampling or Sampling(temperature=0.0)
        self._concurrency = concurrency
        self._rooms = rooms or {}
        self._batch = batch

    async def run(
        self,
        engines: Mapping[str, Engine],
        items: Sequence[Item],
        report: Report = lambda progress: None,
    ) -> None:
        """Keeps the items, and asks every engine every one it was not asked before.

        All engines are asked at once, so that none idles while another is graded; experts that
        share an engine fill its batch together.
        """
        questions = await self._reader.read(self.task.name, [self._question(i) for i in items])
        async with asyncio.TaskGroup() as group:
            for name, engine in engines.items():
                group.create_task(self._grade(name, engine, items, questions, report))

    def _question(self, item: Item) -> StoredQuestion:
        text = item.about or item.question.text
        choices = item.choices or self._extraction.choices(text)
        return StoredQuestion(
            task=self.task.name,
            item=item.id,
            text=text,
            category=item.category,
            target=item.target,
            options=len(choices),
            choices=choices,
            group=item.group,
            secret=self.task.secret,
        )

    async def _grade(
        self,
        expert: str,
        engine: Engine,
        items: Sequence[Item],
        questions: Mapping[str, StoredQuestion],
        report: Report,
    ) -> None:
        known = await self._store.answered_items(expert, self.task.name)
        todo = [item for item in items if item.id not in known]
        done, failed = len(items) - len(todo), 0
        report(Progress(expert, done, len(items), failed))
        waiting: list[GradedAnswer] = []
        room = self._rooms.get(expert) or asyncio.Semaphore(self._concurrency)

        async def one(item: Item) -> GradedAnswer | None:
            async with room:
                return await self._answer(expert, engine, item, questions[item.id])

        async with asyncio.TaskGroup() as group:  # a run that is cancelled asks nobody further
            tasks = [group.create_task(one(item)) for item in todo]
            for answered in asyncio.as_completed(tasks):
                answer = await answered
                done, failed = done + 1, failed + (answer is None)
                if answer is not None:
                    waiting.append(answer)
                if len(waiting) >= self._batch:
                    await self._store.save_answers(waiting)
                    waiting = []
                report(Progress(expert, done, len(items), failed))
        await self._store.save_answers(waiting)

    async def _answer(
        self, expert: str, engine: Engine, item: Item, question: StoredQuestion
    ) -> GradedAnswer | None:
        try:
            completion = await engine.complete(item.question, self._sampling)
        except EngineError as error:
            # Not the expert's fault as far as skill goes: the question stays open for a next run.
            log.warning("profiling %s on %s: %s", expert, item.id, error)
            return None
        grade = self.task.grade(item, completion.text)
        return GradedAnswer(
            expert=expert,
            task=self.task.name,
            item=item.id,
            skills=question.skills,
            output="" if self.task.secret else completion.text,  # it may quote the question
            extracted=grade.extracted,
            correct=grade.correct,
            usage=completion.usage,
            latency_s=completion.latency_s,
            reading=self._reading(item.question.text, completion.text, grade),
        )

    def _reading(self, question: str, output: str, grade: Grade) -> Reading:
        if grade.extracted is None:
            return Reading.NOTHING
        # As votes will read live answers, whatever the task's own ways of reading: what it could
        # read, but a vote could not, was its last resort.
        return self._extraction.reading(question, output) or Reading.GUESSED
