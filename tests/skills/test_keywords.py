"""Keywords: how replies are read, kept, and mapped to skills."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie.errors import EngineUnavailable
from coterie.types import Completion, Question, Sampling, Skill, SkillWeight, Usage
from skills.infer import EmbeddingInference, KeywordInference, Matching, blend
from skills.keywords import (
    Procedure,
    RecentKeywords,
    cache_key,
    parse_keywords,
    stable_keywords,
)
from skills.synonyms import Synonyms
from skills.taxonomy import GENERAL


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("Algebra, Number theory.", ("algebra", "number theory")),
        ("algebra, Algebra", ("algebra",)),
        ("U.S. history, 3d geometry", ("us history", "3d geometry")),
        ("1. Algebra\n2) Logic\n- law\n", ("algebra", "logic", "law")),
        ("x" * 21 + ", law", ("law",)),
        (" , .", ()),
    ],
)
def test_replies_are_read_as_published(reply: str, words: tuple[str, ...]) -> None:
    assert parse_keywords(reply) == words


def test_how_long_a_keyword_may_be_can_be_said() -> None:
    assert parse_keywords("x" * 21, longest=21) == ("x" * 21,)


def test_only_what_recurs_is_stable() -> None:
    found = stable_keywords([("algebra", "logic"), ("algebra",), ("history",)])
    assert found == {"algebra": pytest.approx(2 / 3)}


def test_one_sample_alone_is_believed() -> None:
    assert stable_keywords([("algebra",)]) == {"algebra": 1.0}


# --- asking -------------------------------------------------------------------------------------


class Says:
    """An engine that says the next of its lines, and is down where there is none."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.asked = 0

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        self.asked += 1
        if not self.lines:
            raise EngineUnavailable("k", "down")
        return Completion("k", self.lines.pop(0), "stop", Usage(), 0.0)


class Letters:
    """An encoder without weights: texts are near when they share letters."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.array([[t.lower().count(chr(97 + i)) for i in range(26)] for t in texts], float)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), dtype=np.float32)


TAXONOMY = [Skill("algebra", "algebra"), Skill("history", "history"), Skill(GENERAL, "zzz")]


def keywords(engine: Says, floor: float = 0.25, **fields: object) -> KeywordInference:
    matcher = EmbeddingInference(TAXONOMY, Letters(), matching=Matching(floor=floor))
    return KeywordInference(lambda: engine, matcher, **fields)  # type: ignore[arg-type, return-value]


async def test_keywords_are_mapped_to_the_taxonomy() -> None:
    engine = Says("algebra, unicorns", "Algebra", "algebra", "history", "algebra")
    found = await keywords(engine).infer(Question.of("?"))
    assert found.skills == (SkillWeight("algebra", 1.0, 1.0),)


async def test_without_stable_keywords_the_question_itself_is_compared() -> None:
    found = await keywords(Says("a", "b", "c", "d", "e")).infer(Question.of("history"))
    assert found.skills[0].skill == "history"


async def test_an_unseen_keyword_counts_for_its_neighbour() -> None:
    found = await keywords(Says(*["algebraic"] * 5)).infer(Question.of("?"))
    assert found.skills[0].skill == "algebra"
    assert 0.8 < found.skills[0].similarity < 1


async def test_a_keyword_near_nothing_is_general_and_says_so() -> None:
    found = await keywords(Says(*["algebra, wok"] * 5), floor=0.5).infer(Question.of("?"))
    assert [(s.skill, s.weight) for s in found.skills] == [("algebra", 0.5), (GENERAL, 0.5)]
    assert found.skills[1].similarity < 0.5


async def test_a_synonym_is_read_as_its_skill_until_it_is_split() -> None:
    inference = keywords(Says(*["wok"] * 5), floor=0.5)
    inference.synonyms = Synonyms().merge("wok", "history", similarity=0.7, by="ann")
    found = await inference.infer(Question.of("?"))
    assert found.skills == (SkillWeight("history", 1.0, 0.7),)
    inference.synonyms = inference.synonyms.split("wok")
    assert (await inference.infer(Question.of("?"))).skills[0].skill == GENERAL


# --- keeping ------------------------------------------------------------------------------------


async def test_the_same_question_is_asked_once() -> None:
    engine = Says(*["algebra"] * 5)
    inference = keywords(engine)
    first = await inference.infer(Question.of("?"))
    assert await inference.infer(Question.of("?")) == first
    assert engine.asked == 5


async def test_keywords_with_a_sample_missing_are_used_but_not_kept() -> None:
    engine, cache = Says("algebra", "algebra"), RecentKeywords()
    inference = keywords(engine, cache=cache, procedure=Procedure(samples=3))
    assert (await inference.infer(Question.of("?"))).skills[0].skill == "algebra"
    engine.lines = ["history"] * 3
    assert (await inference.infer(Question.of("?"))).skills[0].skill == "history"


async def test_a_question_without_stable_keywords_is_kept_too() -> None:
    engine = Says("a", "b")
    inference = keywords(engine, procedure=Procedure(samples=2))
    await inference.infer(Question.of("?"))
    await inference.infer(Question.of("?"))
    assert engine.asked == 2


def test_whatever_changes_keywords_changes_their_key() -> None:
    one = Procedure()
    keys = {
        cache_key("m", "p", one),
        cache_key("n", "p", one),
        cache_key("m", "q", one),
        cache_key("m", "p", Procedure(samples=3)),
    }
    assert len(keys) == 4
    assert all(len(key) == 64 for key in keys)


async def test_the_least_recently_used_goes_first() -> None:
    cache = RecentKeywords(size=2)
    await cache.put("a", {"x": 1.0})
    await cache.put("b", {})
    await cache.get("a")
    await cache.put("c", {})
    assert await cache.get("b") is None
    assert await cache.get("a") == {"x": 1.0}


SHARES = st.lists(
    st.tuples(
        st.floats(0.1, 1), st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
    ),
    min_size=1,
    max_size=4,
)


@given(SHARES)
def test_a_blend_is_a_mixture(parts: list[tuple[float, list[str]]]) -> None:
    found = blend(
        [(share, [SkillWeight(n, 1 / len(names), 0.5) for n in names]) for share, names in parts]
    )
    assert sum(s.weight for s in found) == pytest.approx(1)
    assert [s.weight for s in found] == sorted((s.weight for s in found), reverse=True)
