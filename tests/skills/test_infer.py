"""Skill inference, on the real encoder."""

import numpy as np
import pytest

from coterie.errors import ConfigurationError
from coterie.types import Question, Skill
from skills.encoder import SentenceEncoder
from skills.infer import EmbeddingInference, Matching, weigh
from skills.taxonomy import DEFAULT_TAXONOMY, GENERAL, by_name


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    pytest.importorskip("sentence_transformers", reason="needs coterie[embed]")
    return SentenceEncoder()


@pytest.fixture(scope="module")
def inference(encoder: SentenceEncoder) -> EmbeddingInference:
    return EmbeddingInference(DEFAULT_TAXONOMY, encoder)


@pytest.mark.parametrize(
    ("question", "skill"),
    [
        ("What is 348 plus 91?", "arithmetic"),
        ("How many metres are there in 5 kilometres?", "unit-conversion"),
        ("Given pets(id, name, age), write a SQL query that counts the pets.", "sql"),
        ("If today is Friday, which weekday is it in 12 days?", "dates-times"),
        (
            "Pull the sender and the amount out of this note and give me JSON.",
            "information-extraction",
        ),
        ("Translate 'where is the station' to Spanish.", "translation"),
        ("Who was the first emperor of Rome?", "history"),
    ],
)
async def test_questions_find_their_skill(
    inference: EmbeddingInference, question: str, skill: str
) -> None:
    found = await inference.infer(Question.of(question))
    assert found.skills[0].skill == skill
    assert sum(s.weight for s in found.skills) == pytest.approx(1.0)
    assert found.vector is not None
    assert np.linalg.norm(found.vector) == pytest.approx(1.0, abs=1e-5)


async def test_the_same_question_has_the_same_skills(inference: EmbeddingInference) -> None:
    question = Question.of("Sort these by date.")
    assert await inference.infer(question) == await inference.infer(question)


def test_what_resembles_nothing_is_general_and_says_so() -> None:
    assert weigh({"sql": 0.05, "law": 0.1}, Matching(floor=0.15))[0].skill == GENERAL
    assert weigh({"sql": 0.05, "law": 0.1}, Matching(floor=0.15))[0].similarity == 0.1


def test_weights_sum_to_one_and_follow_similarity() -> None:
    found = weigh({"a": 0.6, "b": 0.55, "c": 0.3, "d": 0.54}, Matching(most=3))
    assert [s.skill for s in found] == ["a", "b", "d"]
    assert sum(s.weight for s in found) == pytest.approx(1.0)


def test_a_missing_encoder_package_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="COTERIE_EMBEDDING_MODEL"):
        SentenceEncoder("package:no_such_package_here").encode(["x"])


def test_a_skill_cannot_be_defined_twice() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        by_name([Skill("a", "x"), Skill("a", "y")])
