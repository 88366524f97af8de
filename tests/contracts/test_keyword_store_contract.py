"""Keywords and synonyms come back as they were, from both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.db import Database
from coterie.errors import ConfigurationError
from skills.keyword_store import KeywordStore
from skills.synonym_store import SynonymStore
from skills.synonyms import Synonym


class TestKeywords:
    async def test_what_was_put_is_found(self, database: Database) -> None:
        store = KeywordStore(database)
        assert await store.get("k") is None
        await store.put("k", {"algebra": 0.6, "größe": 1.0})
        await store.put("none", {})
        assert await store.get("k") == {"algebra": 0.6, "größe": 1.0}
        assert await store.get("none") == {}

    async def test_what_is_put_again_replaces(self, database: Database) -> None:
        store = KeywordStore(database)
        await store.put("k", {"algebra": 0.6})
        await store.put("k", {"logic": 0.4})
        assert await store.get("k") == {"logic": 0.4}

    async def test_what_most_questions_have_comes_first(self, database: Database) -> None:
        store = KeywordStore(database)
        for key, words in (("a", ("x", "y")), ("b", ("y",)), ("c", ("z", "y")), ("d", ("z",))):
            await store.put(key, dict.fromkeys(words, 1.0))
        assert await store.frequent(2) == ["y", "z"]

    async def test_the_newest_are_kept(self, database: Database) -> None:
        store = KeywordStore(database, keep=2)
        for key in "abcd":
            await store.put(key, {})
        await store.trim()
        assert [await store.get(key) for key in "abcd"] == [None, None, {}, {}]

    async def test_a_database_out_of_reach_is_a_cache_that_forgets(self, tmp_path: Path) -> None:
        database = Database(f"postgresql://u@/name?host={tmp_path}")
        store = KeywordStore(database)
        await store.put("k", {"algebra": 0.6})
        assert await store.get("k") is None
        await database.close()


class TestSynonyms:
    async def test_a_merge_is_kept_with_who_decided_it(self, database: Database) -> None:
        store = SynonymStore(database)
        await store.merge("Linear-Equations", "algebra", similarity=0.75, by="eve")
        found = await store.synonyms()
        assert found.merged == {
            "linear equations": Synonym("linear equations", "algebra", 0.75, "eve")
        }
        assert found.read("linear equations").skill == "algebra"

    async def test_a_split_takes_it_back(self, database: Database) -> None:
        store = SynonymStore(database)
        await store.merge("equations", "algebra")
        await store.merge("sums", "arithmetic")
        left = await store.split("Equations")
        assert list(left.merged) == ["sums"]
        assert await store.synonyms() == left

    async def test_what_makes_no_sense_changes_nothing(self, database: Database) -> None:
        store = SynonymStore(database)
        await store.merge("equations", "algebra")
        with pytest.raises(ConfigurationError, match="split"):
            await store.merge("equations", "logic")
        with pytest.raises(ConfigurationError, match="read as"):
            await store.merge("algebra", "equations")
        with pytest.raises(ConfigurationError, match="merged are 'equations'"):
            await store.split("sums")
        assert list((await store.synonyms()).merged) == ["equations"]
