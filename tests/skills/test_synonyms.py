"""Merging names, and taking it back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from skills.synonyms import Synonym, Synonyms, suggestions

NAMES = st.sampled_from(["a", "b", "c", "d"])


def test_a_merged_keyword_is_read_as_its_skill() -> None:
    found = Synonyms().merge("Linear-Algebra", "algebra", similarity=0.9, by="ann")
    assert found.read("linear algebra") == Synonym("linear algebra", "algebra", 0.9, "ann")
    assert found.read("history") == Synonym("history", "history")


def test_merges_follow_each_other() -> None:
    found = Synonyms().merge("a", "b", similarity=0.9, by="x").merge("b", "c", similarity=0.8)
    assert found.read("a").skill == "c"
    assert found.read("a").similarity == 0.8
    assert found.split("b").read("a") == Synonym("a", "b", 0.9, "x")


def test_a_split_restores_what_was() -> None:
    before = Synonyms().merge("a", "b")
    assert before.merge("c", "b").split("c") == before


def test_a_merge_is_not_overwritten() -> None:
    with pytest.raises(ConfigurationError, match="read as 'b' already: split it first"):
        Synonyms().merge("a", "b").merge("A", "c")


@pytest.mark.parametrize("skill", ["a", "b", "c"])
def test_names_are_never_read_in_a_circle(skill: str) -> None:
    found = Synonyms().merge("b", "c").merge("c", "a")
    with pytest.raises(ConfigurationError, match="read as each other"):
        found.merge("a", skill)


def test_only_what_is_merged_can_be_split() -> None:
    with pytest.raises(ConfigurationError, match="merged are 'a'"):
        Synonyms().merge("a", "b").split("b")


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_every_name_is_read_as_one_that_is_not_merged(pairs: list[tuple[str, str]]) -> None:
    found = Synonyms()
    for keyword, skill in pairs:
        try:
            found = found.merge(keyword, skill)
        except ConfigurationError:
            continue
    assert all(found.read(name).skill not in found.merged for name in "abcd")
    assert Synonyms.of(found.merged.values()) == found


def test_near_names_are_suggested_the_nearest_first() -> None:
    angles = np.radians([0, 90, 10, 85, 45])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    names = ["algebra", "history", "equations", "the past", "poetry"]
    found = suggestions(names, vectors, threshold=0.9)
    assert [(s.keyword, s.skill) for s in found] == [
        ("the past", "history"),
        ("equations", "algebra"),
    ]
    assert found[0].similarity == pytest.approx(np.cos(np.radians(5)), abs=1e-6)
    rest = suggestions(names, vectors, Synonyms.of(found[:1]), threshold=0.9)
    assert [s.keyword for s in rest] == ["equations"]
