"""Snapshots are made of everything ever graded, and the active one is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from coterie.db import Database
from coterie.errors import DuplicateSnapshot, SnapshotError
from coterie.types import Expert, ExpertKind, GradedAnswer, Question, SkillWeight, Usage
from skills.answer_store import AnswerStore
from skills.archive import Archive
from skills.expert_store import ExpertStore
from skills.infer import Inferred
from skills.knowledge import Knowledge
from skills.question_reader import QuestionReader
from skills.questions import StoredQuestion
from skills.snapshot_store import SnapshotStore

SQL, LAW = (SkillWeight("sql", 1.0, 0.5),), (SkillWeight("law", 1.0, 0.5),)


class Inference:
    """Finds the last word to be the skill; its vectors are of ``size`` numbers."""

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self.read: list[str] = []

    async def infer(self, question: Question) -> Inferred:
        self.read.append(question.text)
        skill = SkillWeight(question.text.split()[-1], 1.0, 0.5)
        return Inferred((skill,), np.full(self.size, 0.5, dtype=np.float32))


class Rig:
    """An archive over a real database, with whatever inference a test brings."""

    def __init__(self, database: Database) -> None:
        self.answers = AnswerStore(database)
        self.snapshots = SnapshotStore(database)
        self.inference = Inference()

    def archive(self, encoder: str = "mini", **fields: object) -> Archive:
        return Archive(self.answers, self.snapshots, self.reader(encoder), **fields)  # type: ignore[arg-type]

    def reader(self, encoder: str = "mini") -> QuestionReader:
        return QuestionReader(self.inference, self.answers, encoder=encoder, taxonomy="t")

    async def grade(self, expert: str, *items: str, correct: bool = True) -> None:
        questions = [StoredQuestion("task", item, f"{item} sql") for item in items]
        read = await self.reader().read("task", questions)
        given = (expert, "task")
        await self.answers.save_answers(
            [
                GradedAnswer(*given, item, q.skills, "long", "B", correct, Usage(3, 4), 0.1)
                for item, q in read.items()
            ]
        )


@pytest.fixture
async def rig(sqlite_database: Database) -> Rig:
    for name in ("a", "b"):
        await ExpertStore(sqlite_database).add(Expert(name, ExpertKind.VLLM, name))
    return Rig(sqlite_database)


async def test_a_snapshot_rests_on_everything_graded(rig: Rig) -> None:
    await rig.grade("a", "1", "2")
    await rig.grade("b", "2", correct=False)
    made = await rig.archive().make(note="why not")
    assert (made.answers, made.note, made.parent, made.encoder) == (3, "why not", None, "mini")
    found = await rig.archive().current(Knowledge())
    assert found.name == made.name
    assert found.profile("a").at("sql").n == 2
    assert found.memory is not None
    assert found.memory.items == ("task/1", "task/2")
    assert found.memory.vectors.shape == (2, 2)
    np.testing.assert_array_equal(found.memory.correct, [[1, np.nan], [1, 0]])


async def test_more_answers_make_a_child_and_read_only_new_questions(rig: Rig) -> None:
    await rig.grade("a", "1", "2")
    first = await rig.archive().make("first")
    rig.inference.read.clear()
    await rig.grade("b", "1", "2", "3")
    second = await rig.archive().make()
    assert rig.inference.read == ["3 sql"]
    assert (second.parent, second.answers) == (first.name, 5)
    assert (await rig.archive().load(second.name)).profiles.keys() == {"a", "b"}
    assert (await rig.archive().load("first")).profiles.keys() == {"a"}


async def test_going_back_brings_the_old_profiles_back(rig: Rig) -> None:
    await rig.grade("a", "1")
    await rig.archive().make("first")
    before = await rig.archive().current(Knowledge())
    await rig.grade("a", "2", correct=False)
    await rig.archive().make("second")
    after = await rig.archive().current(before)
    assert after.profile("a") != before.profile("a")
    await rig.snapshots.activate("first")
    assert (await rig.archive().current(after)).profile("a") == before.profile("a")


async def test_the_active_one_is_read_once(rig: Rig) -> None:
    await rig.grade("a", "1")
    await rig.archive().make()
    archive = rig.archive()
    found = await archive.current(Knowledge())
    assert await archive.current(found) is found


async def test_before_the_first_nothing_is_known(rig: Rig) -> None:
    nothing = Knowledge()
    assert await rig.archive().current(nothing) is nothing


async def test_a_name_is_checked(rig: Rig) -> None:
    archive = rig.archive()
    await archive.make("mine")
    with pytest.raises(DuplicateSnapshot, match="'mine'"):
        await archive.make("mine")
    for name in ("", "a b", "../x", "-x", "x" * 65):
        with pytest.raises(SnapshotError, match="cannot be named"):
            await archive.make(name)
    assert len(await rig.snapshots.list()) == 1


async def test_the_same_twice_within_a_second_is_one(rig: Rig) -> None:
    await rig.grade("a", "1")
    archive = rig.archive()
    names = {(await archive.make()).name for _ in range(3)}
    assert {info.name for info in await rig.snapshots.list()} == names


async def test_what_is_fitted_once_is_kept_with_it(rig: Rig) -> None:
    await rig.grade("a", "2", "1")

    def finish(
        knowledge: Knowledge,
        questions: Sequence[StoredQuestion],
        answers: Sequence[GradedAnswer],
    ) -> Knowledge:
        assert len(answers) == 2
        assert knowledge.memory is not None
        assert [f"task/{q.item}" for q in questions] == list(knowledge.memory.items)
        return replace(knowledge, choices={"auto": "cascade"}, fitted={"vote": questions[0].text})

    await rig.archive(finish=finish).make()
    found = await rig.archive().current(Knowledge())
    assert (found.choices, found.fitted) == ({"auto": "cascade"}, {"vote": "1 sql"})


async def test_another_encoder_reads_all_questions_anew_for_the_next(rig: Rig) -> None:
    await rig.grade("a", "1", "2")
    await rig.archive().make("old")
    rig.inference = Inference(size=3)
    made = await rig.archive(encoder="maxi").make()
    assert sorted(rig.inference.read) == ["1 sql", "2 sql"]
    assert made.encoder == "maxi"
    found = await rig.archive(encoder="maxi").current(Knowledge())
    assert found.memory is not None
    assert found.memory.vectors.shape == (2, 3)


async def test_of_another_encoders_snapshot_only_profiles_are_used(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.grade("a", "1")
    await rig.archive().make("old")
    found = await rig.archive(encoder="maxi").current(Knowledge())
    assert (found.name, found.memory) == ("old", None)
    assert found.profile("a").overall.n == 1
    assert "only its profiles are used" in caplog.text


async def test_answers_without_their_question_count_too(rig: Rig) -> None:
    given = GradedAnswer("a", "old", "1", LAW, "", "B", True, Usage(), 0.0)
    await rig.answers.save_answers([given])
    await rig.archive().make()
    found = await rig.archive().current(Knowledge())
    assert found.profile("a").at("law").n == 1
    assert found.memory is not None
    assert found.memory.skills == (LAW,)


async def test_a_question_counts_for_the_skills_it_has_now(rig: Rig) -> None:
    """Whatever it was taken for when an expert was graded on it."""
    await rig.grade("a", "1")
    [kept] = await rig.answers.questions("task")
    await rig.answers.save_questions([replace(kept, skills=LAW)])
    await rig.archive().make()
    found = await rig.archive().current(Knowledge())
    assert set(found.profile("a").skills) == {"law"}
