"""Keeps feedback in the database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from coterie.db import Database, upsert
from orchestrator.traces.facts import Record, facts_of
from orchestrator.traces.feedback import Feedback
from orchestrator.traces.filters import Verdict
from orchestrator.traces.moments import moment_of
from orchestrator.traces.tables import FeedbackRow, HeadRow


class FeedbackStore:
    """The last feedback on each request."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, feedback: Feedback, record: Record) -> None:
        """Keeps ``feedback`` on ``record``, in place of what was said before."""
        facts = facts_of(record)
        async with self._database.transaction() as session:
            known = select(HeadRow.moment).where(HeadRow.id == feedback.route)
            moment = await session.scalar(known)
            row = {
                "route": feedback.route,
                # One that is not written yet will have this one.
                "moment": moment or moment_of(facts.created_at, facts.id),
                "verdict": feedback.verdict,
                "answer": feedback.answer,
                "note": feedback.note,
                "given_by": feedback.by,
                "given_at": feedback.at,
                "item": feedback.item,
            }
            await upsert(session, FeedbackRow, [row], key=["route"])

    async def of(self, ids: Sequence[str]) -> dict[str, Feedback]:
        """What was said of these requests, by their ids."""
        query = select(FeedbackRow).where(FeedbackRow.route.in_(ids))
        async with self._database.read() as session:
            return {row.route: feedback_of(row) for row in await session.scalars(query)}

    async def remove(self, ids: Sequence[str]) -> None:
        """Forgets what was said of these requests."""
        async with self._database.transaction() as session:
            await session.execute(delete(FeedbackRow).where(FeedbackRow.route.in_(ids)))


def feedback_of(row: FeedbackRow) -> Feedback:
    """The feedback in a row."""
    return Feedback(
        row.route,
        Verdict(row.verdict),
        row.answer,
        row.note,
        row.given_by,
        row.given_at,
        row.item,
    )
