"""Profiling runs, on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from coterie.db import Database
from coterie.errors import EngineUnavailable
from coterie.types import (
    Completion,
    Expert,
    ExpertKind,
    Grade,
    Item,
    Question,
    Reading,
    Sampling,
    SkillWeight,
    Usage,
)
from skills.answer_store import AnswerStore
from skills.expert_store import ExpertStore
from skills.experts import Registry
from skills.infer import Inferred
from skills.profiler import Extraction, Profiler, Progress
from skills.question_reader import QuestionReader


class Sums:
    """A task of sums; even ones are "sql", odd ones "law" to the inference below."""

    name = "sums"
    secret = False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return [Item(f"i{n}", Question.of(f"{n} + 1"), str(n + 1), "sum") for n in range(20)][
            :limit
        ]

    def grade(self, item: Item, output: str) -> Grade:
        return Grade(output == item.target, output)


@dataclass
class ByParity:
    read: list[str] = field(default_factory=list)

    async def infer(self, question: Question) -> Inferred:
        self.read.append(question.text)
        n = int(question.text.split()[0])
        return Inferred((SkillWeight("law" if n % 2 else "sql", 1.0, 0.5),))


@dataclass
class Adder:
    """Right about even numbers only; fails on those in ``down``."""

    name: str
    down: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        n = int(question.text.split()[0])
        self.asked.append(n)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if n in self.down:
            raise EngineUnavailable(self.name, "down")
        return Completion(self.name, str(n + 1 if n % 2 == 0 else n), "stop", Usage(3, 1), 0.1)


@pytest.fixture
async def store(sqlite_database: Database) -> AnswerStore:
    registry = Registry(ExpertStore(sqlite_database))
    for name in ("a", "b"):
        await registry.add(
            Expert(name, ExpertKind.OPENAI, name, endpoint=f"http://127.0.0.1:9/{name}")
        )
    return AnswerStore(sqlite_database)


def profiler(store: AnswerStore, **fields: Any) -> Profiler:
    reader = QuestionReader(ByParity(), store, encoder="none", taxonomy="none")
    return Profiler(Sums(), reader, store, **fields)


async def test_every_answer_is_graded_and_kept(store: AnswerStore) -> None:
    items = Sums().items("val")
    await profiler(store).run({"a": Adder("a")}, items)  # type: ignore[dict-item]
    kept = await store.answers("a")
    assert len(kept) == 20
    assert {a.correct for a in kept if a.skills[0].skill == "sql"} == {True}
    assert {a.correct for a in kept if a.skills[0].skill == "law"} == {False}


async def test_the_questions_are_kept_with_what_their_task_says(store: AnswerStore) -> None:
    extraction = Extraction(choices=lambda text: ("one", "two", "three", "four"))
    run = profiler(store, extraction=extraction).run
    await run({"a": Adder("a")}, Sums().items("val", 2))  # type: ignore[dict-item]
    questions = await store.questions("sums")
    assert [(q.item, q.text, q.category, q.target) for q in questions] == [
        ("i0", "0 + 1", "sum", "1"),
        ("i1", "1 + 1", "sum", "2"),
    ]
    assert {q.options for q in questions} == {4}
    assert {q.choices for q in questions} == {("one", "two", "three", "four")}
    assert [q.skills[0].skill for q in questions] == ["sql", "law"]


async def test_experts_that_share_a_room_are_asked_no_more_together_than_it_lets_in(
    store: AnswerStore,
) -> None:
    shared, room = Adder("of both"), asyncio.Semaphore(3)
    run = profiler(store, rooms={"a": room, "b": room}).run
    await run({"a": shared, "b": shared}, Sums().items("val"))  # type: ignore[dict-item]
    assert (len(shared.asked), shared.most_at_once) == (40, 3)


async def test_what_a_task_says_of_its_question_is_kept_over_what_the_text_shows(
    store: AnswerStore,
) -> None:
    """Worked examples in a prompt have options too; skills come from the question alone."""
    item = Item(
        "i0",
        Question.of("2 + 2?\nA. 4\nB. 5\nC. 6\n\n0 + 1"),
        "A",
        "sum",
        about="0 + 1",
        choices=("1", "2"),
        group="ones",
    )
    extraction = Extraction(choices=lambda text: ("4", "5", "6"))
    run = profiler(store, extraction=extraction).run
    await run({}, [item])
    (kept,) = await store.questions("sums")
    assert (kept.text, kept.options, kept.choices, kept.group) == ("0 + 1", 2, ("1", "2"), "ones")


async def test_how_an_answer_was_read_is_kept(store: AnswerStore) -> None:
    """What a vote cannot read, and the task could, was the task's own guess."""
    readings = {"1": Reading.NAMED, "3": Reading.NOTHING}
    extraction = Extraction(reading=lambda text, output: readings.get(output, Reading.STATED))
    run = profiler(store, extraction=extraction).run
    await run({"a": Adder("a")}, Sums().items("val", 5))  # type: ignore[dict-item]
    kept = {a.item: a.reading for a in await store.answers("a")}
    assert [kept[f"i{n}"] for n in range(5)] == [
        Reading.NAMED,
        Reading.NAMED,
        Reading.GUESSED,
        Reading.GUESSED,
        Reading.STATED,
    ]


async def test_what_was_answered_is_not_asked_again(store: AnswerStore) -> None:
    await profiler(store).run({"a": Adder("a")}, Sums().items("val", 8))  # type: ignore[dict-item]
    second = Adder("a")
    progress: list[Progress] = []
    await profiler(store).run({"a": second}, Sums().items("val"), progress.append)  # type: ignore[dict-item]
    assert sorted(second.asked) == list(range(8, 20))
    assert progress[0] == Progress("a", 8, 20, 0)
    assert progress[-1] == Progress("a", 20, 20, 0)


async def test_a_failure_stays_open_and_is_no_wrong_answer(store: AnswerStore) -> None:
    flaky = Adder("a", down={0, 2})
    progress: list[Progress] = []
    await profiler(store).run({"a": flaky}, Sums().items("val"), progress.append)  # type: ignore[dict-item]
    assert progress[-1].failed == 2
    assert len(await store.answers("a")) == 18
    mended = Adder("a")
    await profiler(store).run({"a": mended}, Sums().items("val"))  # type: ignore[dict-item]
    assert sorted(mended.asked) == [0, 2]


async def test_experts_are_asked_together_within_their_limits(store: AnswerStore) -> None:
    engines = {"a": Adder("a"), "b": Adder("b")}
    await profiler(store, concurrency=4, batch=3).run(engines, Sums().items("val"))  # type: ignore[arg-type]
    assert all(1 < e.most_at_once <= 4 for e in engines.values())
    assert {a.expert for a in await store.answers()} == {"a", "b"}


async def test_a_cancelled_run_keeps_what_it_had(store: AnswerStore) -> None:
    class Stuck(Adder):
        async def complete(self, question: Question, sampling: Sampling) -> Completion:
            if int(question.text.split()[0]) >= 6:
                await asyncio.Event().wait()
            return await super().complete(question, sampling)

    run = profiler(store, concurrency=20, batch=2).run({"a": Stuck("a")}, Sums().items("val"))  # type: ignore[dict-item]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run, 0.5)
    assert len(await store.answers("a")) == 6


class Secrets(Sums):
    secret = True


async def test_a_secret_question_is_profiled_and_never_written_down(store: AnswerStore) -> None:
    inference = ByParity()
    reader = QuestionReader(inference, store, encoder="none", taxonomy="none")
    items = Secrets().items("val", 2)
    for name in ("a", "b"):  # the second time it is known by its hash, and not read again
        await Profiler(Secrets(), reader, store).run({name: Adder(name)}, items)  # type: ignore[dict-item]
    kept = await store.questions("sums")
    assert inference.read == ["0 + 1", "1 + 1"]
    assert all(q.is_sealed and "+" not in q.text and not q.choices for q in kept)
    assert [q.skills[0].skill for q in kept] == ["sql", "law"]
    assert {a.output for a in await store.answers()} == {""}


async def test_a_secret_question_cannot_be_read_anew_without_its_text(store: AnswerStore) -> None:
    reader = QuestionReader(ByParity(), store, encoder="none", taxonomy="none")
    items = Secrets().items("val", 2)
    await Profiler(Secrets(), reader, store).run({"a": Adder("a")}, items)  # type: ignore[dict-item]
    other = QuestionReader(Anything(), store, encoder="another", taxonomy="none")
    assert await other.refresh() == 2
    assert [q.skills for q in await store.questions("sums")] == [(), ()]
    assert await other.refresh() == 0


class Anything:
    async def infer(self, question: Question) -> Inferred:
        return Inferred((SkillWeight("law", 1.0, 0.5),))


class Shown(Sums):
    """Its items say what they are about, apart from their prompt."""

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return [
            Item("i", Question.of("4 + 1 = 5. 0 + 1"), "1", "sum", "0 + 1", ("1", "2"), "g"),
        ]


async def test_skills_are_those_of_the_question_without_its_worked_examples(
    store: AnswerStore,
) -> None:
    reader = QuestionReader(ByParity(), store, encoder="none", taxonomy="none")
    run = Profiler(Shown(), reader, store).run
    await run({"a": Adder("a")}, Shown().items("val"))  # type: ignore[dict-item]
    (kept,) = await store.questions("sums")
    assert (kept.text, kept.options, kept.choices, kept.group) == ("0 + 1", 2, ("1", "2"), "g")
