"""Stored questions and answers become a Memory; questions are read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.db import Database
from coterie.types import GradedAnswer, Question, Reading, Skill, SkillWeight, Usage
from skills.answer_store import AnswerStore
from skills.infer import EmbeddingInference, Inferred
from skills.question_reader import BATCH, QuestionReader, fingerprint
from skills.questions import LONGEST_ANSWER, StoredQuestion, graded_questions, memory_of

SQL, LAW = (SkillWeight("sql", 1.0, 0.5),), (SkillWeight("law", 1.0, 0.5),)


def answer(expert: str, item: str, **fields: object) -> GradedAnswer:
    given = GradedAnswer(expert, "t", item, SQL, "", "B", True, Usage(9, 5), 0.1)
    return replace(given, **fields)  # type: ignore[arg-type]


def question(item: str, **fields: object) -> StoredQuestion:
    return replace(StoredQuestion("t", item, f"question {item}", skills=LAW), **fields)  # type: ignore[arg-type]


class TestMemory:
    def test_every_answer_has_its_cell(self) -> None:
        questions = [question("1", category="c", options=4), question("2")]
        answers = [
            answer("b", "1", reading=Reading.NAMED),
            answer("a", "2", correct=False, extracted=None, reading=Reading.NOTHING),
            answer("a", "1", extracted="C", usage=Usage()),
        ]
        found = memory_of(questions, answers)
        assert found.experts == ("a", "b")
        assert found.items == ("t/1", "t/2")
        assert found.categories == ("c", "")
        assert found.options.tolist() == [4, 0]
        assert found.answers.tolist() == [["C", "B"], ["", ""]]
        assert found.readings.tolist() == [[1, 2], [0, 0]]
        np.testing.assert_array_equal(found.correct, [[1, 1], [0, np.nan]])
        np.testing.assert_array_equal(found.tokens, [[np.nan, 5], [5, np.nan]])

    def test_an_empty_answer_is_not_a_missing_one(self) -> None:
        answers = [answer("a", "1", extracted=""), answer("b", "1", extracted=None)]
        assert memory_of([question("1")], answers).answers.tolist() == [[" ", ""]]

    def test_nothing_graded_is_an_empty_memory(self) -> None:
        found = memory_of((), [])
        assert (len(found), found.experts, found.correct.shape) == (0, (), (0, 0))

    def test_a_question_without_a_vector_resembles_nothing(self) -> None:
        vector = np.array([0.6, 0.8], dtype=np.float32)
        odd = np.ones(5, dtype=np.float32) / 5
        questions = [question("1", vector=vector), question("2"), question("3", vector=odd[:1])]
        found = memory_of(questions, [answer("a", i) for i in "123"])
        np.testing.assert_array_equal(found.vectors, [vector, [0, 0], [0, 0]])

    def test_a_long_answer_equals_itself_alone(self) -> None:
        long = "x" * 500
        answers = [
            answer("a", "1", extracted=long),
            answer("b", "1", extracted=long),
            answer("c", "1", extracted=long + "y"),
        ]
        a, b, c = memory_of([question("1")], answers).answers[0]
        assert a == b != c
        assert len(a) <= LONGEST_ANSWER

    @given(st.permutations(["1", "2", "3"]), st.permutations(["a", "b"]))
    def test_the_order_of_the_answers_does_not_matter(
        self, items: list[str], experts: list[str]
    ) -> None:
        answers = [answer(e, i, extracted=e + i) for i in items for e in experts]
        questions = graded_questions([], answers)
        found = memory_of(questions, answers)
        assert found.items == ("t/1", "t/2", "t/3")
        assert found.answers.tolist() == [[e + i for e in "ab"] for i in "123"]


class TestGradedQuestions:
    def test_only_what_was_graded_is_there_in_order(self) -> None:
        kept = [question("2"), question("1"), question("3")]
        found = graded_questions(kept, [answer("a", "2"), answer("a", "1")])
        assert [q.item for q in found] == ["1", "2"]
        assert found[0].skills == LAW

    def test_a_question_that_was_never_kept_has_the_skills_most_answers_name(self) -> None:
        answers = [answer("a", "1", skills=LAW), answer("b", "1"), answer("c", "1")]
        [found] = graded_questions([], answers)
        assert (found.task, found.item, found.skills) == ("t", "1", SQL)


@dataclass
class Encoder:
    """Counts letters, and what it was asked to encode."""

    encoded: list[str] = field(default_factory=list)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded += [t for t in texts if t.startswith("question")]
        rows = np.array([[t.count(c) + 1 for c in "abcdefgh"] for t in texts], dtype=float)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


TAXONOMY = [Skill("a", "aaa"), Skill("b", "bbb")]


@pytest.fixture
def store(sqlite_database: Database) -> AnswerStore:
    return AnswerStore(sqlite_database)


def reader(store: AnswerStore, letters: Encoder, **fields: str) -> QuestionReader:
    made_with = {"encoder": "letters", "taxonomy": fingerprint(TAXONOMY), **fields}
    return QuestionReader(EmbeddingInference(TAXONOMY, letters), store, **made_with)


class TestReader:
    async def test_questions_are_read_and_kept(self, store: AnswerStore) -> None:
        told: list[tuple[int, int]] = []
        asked = [question(str(n), skills=()) for n in range(BATCH + 1)]
        found = await reader(store, Encoder()).read("t", asked, lambda *p: told.append(p))
        assert told == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]
        kept = {q.item: q for q in await store.questions("t")}
        assert found.keys() == kept.keys() == {q.item for q in asked}
        assert all(kept[i].skills == found[i].skills != () for i in kept)
        assert kept["0"].vector is not None
        assert kept["0"].vector.tolist() == found["0"].vector.tolist()  # type: ignore[union-attr]

    async def test_what_was_read_is_not_read_again(self, store: AnswerStore) -> None:
        asked, encoder = [question("1"), question("2")], Encoder()
        first = await reader(store, Encoder()).read("t", asked)
        more = [asked[0], question("2", text="question 2, changed"), question("3")]
        again = await reader(store, encoder).read("t", more)
        assert encoder.encoded == ["question 2, changed", "question 3"]
        assert again["1"].skills == first["1"].skills

    async def test_a_new_label_is_kept_without_reading_again(self, store: AnswerStore) -> None:
        await reader(store, Encoder()).read("t", [question("1")])
        encoder = Encoder()
        await reader(store, encoder).read("t", [question("1", category="new", options=4)])
        [kept] = await store.questions("t")
        assert (kept.category, kept.options, encoder.encoded) == ("new", 4, [])
        assert kept.vector is not None

    @pytest.mark.parametrize("changed", [{"encoder": "other"}, {"taxonomy": "other"}])
    async def test_another_encoder_or_taxonomy_reads_everything_anew(
        self, store: AnswerStore, changed: dict[str, str]
    ) -> None:
        await reader(store, Encoder()).read("t", [question("1"), question("2")])
        encoder = Encoder()
        assert await reader(store, encoder, **changed).refresh() == 2
        assert sorted(encoder.encoded) == ["question 1", "question 2"]
        assert await reader(store, encoder, **changed).refresh() == 0

    async def test_inference_that_takes_one_at_a_time_does_too(self, store: AnswerStore) -> None:
        class Plain:
            async def infer(self, question: Question) -> Inferred:
                return Inferred(SQL)

        plain = QuestionReader(Plain(), store, encoder="none", taxonomy="none")
        found = await plain.read("t", [question("1"), question("2")])
        assert [q.skills for q in found.values()] == [SQL, SQL]
        assert await plain.refresh() == 0
