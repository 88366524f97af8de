"""Keeps which keywords are read as which skill in the database."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from coterie.db import Database
from skills.synonyms import Synonym, Synonyms, bare
from skills.tables import SynonymRow


class SynonymStore:
    """The merges that hold, one keyword each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def synonyms(self) -> Synonyms:
        """Every merge."""
        async with self._database.read() as session:
            return await _all(session)

    async def merge(
        self, keyword: str, skill: str, *, similarity: float = 1.0, by: str = ""
    ) -> Synonyms:
        """Keeps that ``keyword`` is read as ``skill``; raises as :meth:`Synonyms.merge` does."""
        async with self._database.transaction() as session:
            merged = (await _all(session)).merge(keyword, skill, similarity=similarity, by=by)
            session.add(_row(merged.merged[bare(keyword)]))
        return merged

    async def split(self, keyword: str) -> Synonyms:
        """Takes a merge back; raises as :meth:`Synonyms.split` does."""
        async with self._database.transaction() as session:
            left = (await _all(session)).split(keyword)
            await session.execute(delete(SynonymRow).where(SynonymRow.keyword == bare(keyword)))
        return left


async def _all(session: AsyncSession) -> Synonyms:
    rows = await session.scalars(select(SynonymRow).order_by(SynonymRow.keyword))
    return Synonyms(
        {r.keyword: Synonym(r.keyword, r.skill, r.similarity, r.decided_by) for r in rows}
    )


def _row(synonym: Synonym) -> SynonymRow:
    return SynonymRow(
        keyword=synonym.keyword,
        skill=synonym.skill,
        similarity=synonym.similarity,
        decided_by=synonym.by,
    )
