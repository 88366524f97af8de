"""Keeps the keywords an LLM named for a question, so that it is asked once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from coterie.db import Database, upsert, utcnow
from skills.tables import KeywordRow

log = logging.getLogger(__name__)

READ = 10_000
"""Questions whose keywords are counted."""

TRIM_EVERY = 1000
"""How many questions are kept between two trims."""


class KeywordStore:
    """Keywords, each with the share of samples that named it; by a hash of all that decides them.

    The newest ``keep`` questions are remembered.  While the database is away nothing is: a cache is
    no reason for a question to fail.
    """

    def __init__(self, database: Database, *, keep: int = 100_000) -> None:
        self._database = database
        self._keep = keep
        self._puts = 0

    async def get(self, key: str) -> Mapping[str, float] | None:
        """What is kept under ``key``; None where nothing is."""
        query = select(KeywordRow.keywords).where(KeywordRow.key == key)
        try:
            async with self._database.read() as session:
                return await session.scalar(query)
        except (SQLAlchemyError, OSError) as error:
            log.warning("skill keywords are not looked up: %r", error)
            return None

    async def put(self, key: str, keywords: Mapping[str, float]) -> None:
        """Keeps ``keywords``, none among them; what was kept under ``key`` goes."""
        row = {"key": key, "keywords": dict(keywords), "created_at": utcnow()}
        self._puts += 1
        try:
            async with self._database.transaction() as session:
                await upsert(session, KeywordRow, [row], key=["key"])
            if self._puts % TRIM_EVERY == 0:
                await self.trim()
        except (SQLAlchemyError, OSError) as error:
            log.warning("skill keywords are not kept: %r", error)

    async def frequent(self, most: int) -> list[str]:
        """The keywords that most of the newest ``READ`` questions have, those of most first."""
        newest = select(KeywordRow.keywords).order_by(KeywordRow.created_at.desc()).limit(READ)
        async with self._database.read() as session:
            counts = Counter(word for words in await session.scalars(newest) for word in words)
        return sorted(counts, key=lambda word: (-counts[word], word))[:most]

    async def trim(self) -> None:
        """Forgets all but the newest."""
        newest = select(KeywordRow.created_at).order_by(KeywordRow.created_at.desc())
        async with self._database.transaction() as session:
            oldest = await session.scalar(newest.offset(self._keep).limit(1))
            if oldest is not None:
                await session.execute(delete(KeywordRow).where(KeywordRow.created_at <= oldest))
