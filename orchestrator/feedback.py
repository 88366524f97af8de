"""Feedback on answers: kept with their why-records, and as graded evidence.

The same question asked again is one item of evidence, however often it was: what was said of it
last counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aggregator.extract import choices_of
from coterie.db import utcnow
from coterie.errors import RequestError
from coterie.types import GradedAnswer
from orchestrator.feedback_grading import TASK, graded_by
from orchestrator.traces.contents import hash_of
from orchestrator.traces.facts import Outcome, Record, outcome_of
from orchestrator.traces.feedback import Feedback
from orchestrator.traces.feedback_store import FeedbackStore
from orchestrator.traces.filters import Verdict
from skills.answer_store import AnswerStore
from skills.experts import Registry
from skills.question_reader import QuestionReader
from skills.questions import StoredQuestion


@dataclass(frozen=True, slots=True)
class FeedbackService:
    """Takes feedback and takes it back; ``key`` is what names of questions are hashed with."""

    store: FeedbackStore
    answers: AnswerStore
    reader: QuestionReader
    registry: Registry
    key: bytes = field(repr=False)

    async def give(
        self, record: Record, verdict: Verdict, *, answer: str | None, note: str, by: str
    ) -> tuple[Feedback, Mapping[str, bool]]:
        """Keeps what ``by`` says of the answer in ``record``, in place of what was said before.

        Also returns which experts' answers that grades, and how.  Raises :class:`RequestError` for
        a request that has no answer.
        """
        if outcome_of(record) in (Outcome.FAILED, Outcome.LEFT):
            raise RequestError(
                f"request {record['id']!r} has no answer to be judged: it {record.get('error')}",
                param="id",
            )
        item = self._item(record)
        given = Feedback(str(record["id"]), verdict, answer, note, by, utcnow(), item)
        graded = graded_by(record, answer, verdict is Verdict.GOOD, item)
        registered = {expert.name for expert in await self.registry.list()}
        kept = [a for a in graded if a.expert in registered]
        await self.answers.forget(TASK, [item])
        await self._keep(record, given, kept)
        await self.store.save(given, record)
        return given, {a.expert: a.correct for a in graded}

    async def take_back(self, ids: Sequence[str]) -> None:
        """Forgets what was said of these requests, and what it graded."""
        given = await self.store.of(ids)
        await self.answers.forget(TASK, sorted({f.item for f in given.values()}))
        await self.store.remove(ids)

    async def _keep(self, record: Record, given: Feedback, graded: Sequence[GradedAnswer]) -> None:
        if not graded:
            return
        text = record.get("question")
        if text:  # else it was not kept, and what is known of it are its skills
            choices = choices_of(text)
            question = StoredQuestion(
                TASK,
                given.item,
                text,
                target=given.answer or "",
                options=len(choices),
                choices=choices,
            )
            read = (await self.reader.read(TASK, [question]))[given.item]
            graded = [replace(a, skills=read.skills) for a in graded]
        await self.answers.save_answers(graded, run=given.route)

    def _item(self, record: Record) -> str:
        if text := record.get("question"):
            return hash_of(text, self.key)
        return str(record.get("question_hash") or record["id"])
