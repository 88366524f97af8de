"""Keeps profiling questions and graded answers in the database; speaks domain types only.

Tasks that share their items share a name here (:mod:`coterie.task_names`), whoever kept them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Select, delete, or_, select
from sqlalchemy.exc import IntegrityError

from coterie.db import Database, upsert, utcnow
from coterie.errors import UnknownExpert
from coterie.task_names import evidence_name
from coterie.types import GradedAnswer, Reading, SkillWeight, Usage, as_jsonable
from skills.questions import StoredQuestion
from skills.tables import GradedAnswerRow, QuestionRow

CHUNK = 5000
"""Answers written in one transaction: other writers wait no longer than that takes."""


class AnswerStore:
    """Profiling questions, and every expert's last graded answer to each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_answers(self, answers: Sequence[GradedAnswer], run: str = "") -> None:
        """Keeps ``answers``; one to the same item by the same expert is overwritten.

        ``run`` says which profiling run they come from.  Thousands go in several transactions.
        """
        for start in range(0, len(answers), CHUNK):
            await self._save(answers[start : start + CHUNK], run)

    async def _save(self, answers: Sequence[GradedAnswer], run: str) -> None:
        now = utcnow()
        rows = [{**_answer_columns(a), "run": run, "created_at": now} for a in answers]
        try:
            async with self._database.transaction() as session:
                await upsert(session, GradedAnswerRow, rows, key=["expert", "task", "item"])
        except IntegrityError:
            raise _not_registered({a.expert for a in answers}) from None

    async def answers(
        self, expert: str | None = None, task: str | None = None
    ) -> list[GradedAnswer]:
        """The graded answers, of one expert or one task where given."""
        query = select(GradedAnswerRow).order_by(
            GradedAnswerRow.expert, GradedAnswerRow.task, GradedAnswerRow.item
        )
        async with self._database.read() as session:
            rows = await session.scalars(_narrow(query, expert, task))
            return [_answer(row, row.output) for row in rows]

    async def answered_items(self, expert: str, task: str) -> set[str]:
        """The items of ``task`` that ``expert`` was graded on: a resumed run leaves them out."""
        query = _narrow(select(GradedAnswerRow.item), expert, task)
        async with self._database.read() as session:
            return set(await session.scalars(query))

    async def forget(self, task: str, items: Sequence[str]) -> None:
        """Forgets every answer to these ``items`` of ``task``, and the questions themselves."""
        name = evidence_name(task)
        async with self._database.transaction() as session:
            for row in (GradedAnswerRow, QuestionRow):
                gone = delete(row).where(row.task == name, row.item.in_(items))
                await session.execute(gone)

    async def save_questions(self, questions: Sequence[StoredQuestion]) -> None:
        """Keeps ``questions``; one of the same task and item is overwritten."""
        now = utcnow()
        rows = [{**_question_columns(q), "updated_at": now} for q in questions]
        async with self._database.transaction() as session:
            await upsert(session, QuestionRow, rows, key=["task", "item"])

    async def questions(self, task: str) -> list[StoredQuestion]:
        """The questions of ``task``, by item."""
        named = QuestionRow.task == evidence_name(task)
        query = select(QuestionRow).where(named).order_by(QuestionRow.item)
        async with self._database.read() as session:
            return [_question(row) for row in await session.scalars(query)]

    async def stale_questions(self, encoder: str, taxonomy: str) -> list[StoredQuestion]:
        """Questions whose skills and vector were made with another encoder or taxonomy."""
        query = select(QuestionRow).where(
            or_(
                QuestionRow.encoder.is_distinct_from(encoder),
                QuestionRow.taxonomy.is_distinct_from(taxonomy),
            )
        )
        async with self._database.read() as session:
            return [_question(row) for row in await session.scalars(query)]

    async def evidence(self) -> tuple[list[StoredQuestion], list[GradedAnswer]]:
        """Everything ever graded, as of one moment; the answers without their whole outputs."""
        columns = [c for c in GradedAnswerRow.__table__.columns if c.name != "output"]
        async with self._database.read() as session:
            answers = [_answer(row, "") for row in await session.execute(select(*columns))]
            questions = [_question(row) for row in await session.scalars(select(QuestionRow))]
        return questions, answers

    async def any(self) -> bool:
        """Whether anything was ever graded."""
        async with self._database.read() as session:
            return await session.scalar(select(GradedAnswerRow.id).limit(1)) is not None


# --- rows and domain types ----------------------------------------------------------------------


def _narrow(query: Select[Any], expert: str | None, task: str | None) -> Select[Any]:
    if expert is not None:
        query = query.where(GradedAnswerRow.expert == expert)
    if task is not None:
        query = query.where(GradedAnswerRow.task == evidence_name(task))
    return query


def _skills(value: Sequence[dict[str, Any]]) -> tuple[SkillWeight, ...]:
    return tuple(SkillWeight(**weight) for weight in value)


def _answer_columns(answer: GradedAnswer) -> dict[str, Any]:
    return {
        "expert": answer.expert,
        "task": evidence_name(answer.task),
        "item": answer.item,
        "skills": as_jsonable(answer.skills),
        "output": answer.output,
        "extracted": answer.extracted,
        "reading": int(answer.reading),
        "correct": answer.correct,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "latency_s": answer.latency_s,
    }


def _answer(row: Any, output: str) -> GradedAnswer:
    return GradedAnswer(
        expert=row.expert,
        task=row.task,
        item=row.item,
        skills=_skills(row.skills),
        output=output,
        extracted=row.extracted,
        correct=row.correct,
        usage=Usage(row.prompt_tokens, row.completion_tokens),
        latency_s=row.latency_s,
        reading=Reading(row.reading),
    )


def _question_columns(question: StoredQuestion) -> dict[str, Any]:
    vector = question.vector
    return {
        "task": evidence_name(question.task),
        "item": question.item,
        "text": question.text,
        "sha256": question.sha256,
        "category": question.category,
        "target": question.target,
        "options": question.options,
        "choices": list(question.choices),
        "family": question.group,
        "skills": as_jsonable(question.skills),
        "vector": None if vector is None else np.asarray(vector, dtype="<f4").tobytes(),
        "encoder": question.encoder,
        "taxonomy": question.taxonomy,
    }


def _question(row: QuestionRow) -> StoredQuestion:
    return StoredQuestion(
        task=row.task,
        item=row.item,
        text=row.text,
        category=row.category,
        target=row.target,
        options=row.options,
        choices=tuple(row.choices),
        group=row.family,
        skills=_skills(row.skills),
        vector=None if row.vector is None else np.frombuffer(row.vector, dtype="<f4"),
        encoder=row.encoder,
        taxonomy=row.taxonomy,
    )


def _not_registered(names: Collection[str]) -> UnknownExpert:
    return UnknownExpert(
        f"of {', '.join(map(repr, sorted(names)))} at least one is not registered (any more), "
        "so none of these answers was kept; register it and run again"
    )
