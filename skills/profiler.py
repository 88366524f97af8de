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
from coterie.types import GradedAnswer, Item, Profile, Sampling, SkillWeight
from skills.estimate import profiles_of
from skills.infer import SkillInference
from skills.profile import Shrinkage

log = logging.getLogger(__name__)


class AnswerStore(Protocol):
    """Where graded answers and profiles are kept."""

    async def answered_items(self, expert: str, task: str) -> set[str]: ...

    async def save_answers(self, answers: Sequence[GradedAnswer]) -> None: ...

    async def answers(
        self, expert: str | None = None, task: str | None = None
    ) -> list[GradedAnswer]: ...

    async def save_profiles(self, profiles: Sequence[Profile]) -> None: ...


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
    wants many.  Answers are saved ``batch`` at a time, so that a crash loses few.
    """

    def __init__(
        self,
        task: Task,
        inference: SkillInference,
        store: AnswerStore,
        *,
        sampling: Sampling | None = None,
        concurrency: int = 32,
        batch: int = 16,
        shrinkage: Shrinkage | None = None,
    ) -> None:
        self.task = task
        self._inference = inference
        self._store = store
        self._sampling = sampling or Sampling(temperature=0.0)
        self._concurrency = concurrency
        self._batch = batch
        self._shrinkage = shrinkage

    async def run(
        self,
        engines: Mapping[str, Engine],
        items: Sequence[Item],
        report: Report = lambda progress: None,
    ) -> tuple[Profile, ...]:
        """Asks every engine every item it was not asked before, then stores and returns profiles.

        All engines are asked at once, so that none idles while another is graded; experts that
        share an engine fill its batch together.
        """
        skills = {i.id: (await self._inference.infer(i.question)).skills for i in items}
        async with asyncio.TaskGroup() as group:
            for name, engine in engines.items():
                group.create_task(self._grade(name, engine, items, skills, report))
        profiles = profiles_of(await self._store.answers(), self._shrinkage)
        await self._store.save_profiles(profiles)
        return profiles

    async def _grade(
        self,
        expert: str,
        engine: Engine,
        items: Sequence[Item],
        skills: Mapping[str, tuple[SkillWeight, ...]],
        report: Report,
    ) -> None:
        known = await self._store.answered_items(expert, self.task.name)
        todo = [item for item in items if item.id not in known]
        done, failed = len(items) - len(todo), 0
        report(Progress(expert, done, len(items), failed))
        waiting: list[GradedAnswer] = []
        gate = asyncio.Semaphore(self._concurrency)

        async def one(item: Item) -> GradedAnswer | None:
            async with gate:
                return await self._answer(expert, engine, item, skills[item.id])

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
        self, expert: str, engine: Engine, item: Item, skills: tuple[SkillWeight, ...]
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
            skills=skills,
            output=completion.text,
            extracted=grade.extracted,
            correct=grade.correct,
            usage=completion.usage,
            latency_s=completion.latency_s,
        )
