"""How much an engine is given at a time while its experts are profiled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from coterie.types import Completion, Expert, ExpertKind, GradedAnswer, Question, Sampling, Usage
from evals.tasks import load_task
from orchestrator.profiling import AT_ONCE, Profiling, ProfilingPlan
from orchestrator.roster import Roster, Snapshot
from skills.questions import StoredQuestion

BASE = Expert("base", ExpertKind.VLLM, "/model")
LORA = Expert("lora", ExpertKind.LORA, "lora", base="base", adapter="/a")
APART = Expert("apart", ExpertKind.OPENAI, "m", endpoint="http://127.0.0.1:9")


class Counting:
    """An engine, or several; it counts what it is asked at a time."""

    def __init__(self) -> None:
        self.asked = self.at_once = self.most = 0

    def engine(self, name: str) -> Any:
        return self

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        return Completion("any", "1", "stop", Usage(1, 1), 0.1)


class Forgets:
    """Reader, store and archive in one, which keep nothing."""

    async def read(
        self, task: str, questions: Sequence[StoredQuestion]
    ) -> Mapping[str, StoredQuestion]:
        return {question.item: question for question in questions}

    async def answered_items(self, expert: str, task: str) -> set[str]:
        return set()

    async def save_answers(self, answers: Sequence[GradedAnswer]) -> None:
        return None

    async def make(self, name: str | None, note: str) -> Any:
        return SimpleNamespace(name="made")


async def profiled(*experts: Expert, patient: bool = False) -> Counting:
    found, keeps = Counting(), Forgets()

    async def after() -> None:
        return None

    roster: Any = Roster(found, Snapshot.of(experts, Snapshot().knowledge))
    profiling = Profiling(roster, keeps, keeps, keeps, after)  # type: ignore[arg-type]
    profiling.patient = found.engine if patient else None
    profiling.start(ProfilingPlan(load_task("demo"), limit=60))
    while profiling.state.status == "running":
        await asyncio.sleep(0.001)
    assert (profiling.state.status, found.asked) == ("done", 60 * len(experts))
    return found


async def test_experts_of_one_engine_fill_its_batch_together() -> None:
    assert (await profiled(BASE, LORA)).most == AT_ONCE


async def test_engines_apart_are_each_given_as_much() -> None:
    assert (await profiled(BASE, APART)).most == 2 * AT_ONCE


async def test_an_engine_that_takes_turns_sees_all_there_is_to_do() -> None:
    assert (await profiled(BASE, LORA, patient=True)).most == 120
