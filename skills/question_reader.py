"""Reads profiling questions: their skills and vectors, made once and kept.

A question is read again only when its text, the encoder or the taxonomy has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from coterie.types import Question, Skill, as_jsonable
from skills.answer_store import AnswerStore
from skills.infer import Inferred, SkillInference
from skills.questions import StoredQuestion

BATCH = 32
"""Questions embedded at a time: a live question waits no longer than for that many."""

Tell = Callable[[int, int], None]
"""Told how many of how many questions are read."""


@runtime_checkable
class BatchInference(Protocol):
    """Skill inference that takes many questions at once."""

    async def infer_many(self, questions: Sequence[Question]) -> list[Inferred]: ...


def fingerprint(taxonomy: Sequence[Skill]) -> str:
    """A short hash of the taxonomy: skills inferred under another one are inferred anew."""
    text = json.dumps(as_jsonable(tuple(taxonomy)), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class QuestionReader:
    """Reads questions with ``inference`` and keeps what it made of them.

    ``encoder`` names the embedding model behind the inference, ``taxonomy`` is the fingerprint of
    its skills.
    """

    def __init__(
        self, inference: SkillInference, store: AnswerStore, *, encoder: str, taxonomy: str
    ) -> None:
        self.encoder = encoder
        self.taxonomy = taxonomy
        self._inference = inference
        self._store = store

    async def read(
        self, task: str, questions: Sequence[StoredQuestion], tell: Tell = lambda done, of: None
    ) -> dict[str, StoredQuestion]:
        """``questions`` of ``task`` by item, with their skills and vectors; keeps all of them."""
        kept = {q.item: q for q in await self._store.questions(task)}
        known = {q.item: q.read_as(kept[q.item]) for q in questions if self._holds(kept, q)}
        relabelled = [q for q in known.values() if q.as_kept.labels != kept[q.item].labels]
        await self._store.save_questions([q.as_kept for q in relabelled])
        return known | await self._read([q for q in questions if q.item not in known], tell)

    async def refresh(self, tell: Tell = lambda done, of: None) -> int:
        """Reads every stored question anew that another encoder or taxonomy read; how many."""
        stale = await self._store.stale_questions(self.encoder, self.taxonomy)
        await self._read(stale, tell)
        return len(stale)

    def _holds(self, kept: Mapping[str, StoredQuestion], question: StoredQuestion) -> bool:
        """Whether what was made of the question is kept, and would be made of it today."""
        known = kept.get(question.item)
        if known is None or known.sha256 != question.sha256:
            return False
        return (known.encoder, known.taxonomy) == (self.encoder, self.taxonomy)

    async def _read(
        self, questions: Sequence[StoredQuestion], tell: Tell
    ) -> dict[str, StoredQuestion]:
        found: dict[str, StoredQuestion] = {}
        for start in range(0, len(questions), BATCH):
            batch = questions[start : start + BATCH]
            inferred = await self._infer([Question.of(q.text) for q in batch])
            read = [self._read_as(q, i) for q, i in zip(batch, inferred, strict=True)]
            await self._store.save_questions([q.as_kept for q in read])
            found |= {q.item: q for q in read}
            tell(start + len(batch), len(questions))
        return found

    def _read_as(self, question: StoredQuestion, found: Inferred) -> StoredQuestion:
        # A sealed text says nothing: until it is profiled again, the question resembles nothing.
        return replace(
            question,
            skills=() if question.is_sealed else found.skills,
            vector=None if question.is_sealed else found.vector,
            encoder=self.encoder,
            taxonomy=self.taxonomy,
        )

    async def _infer(self, questions: Sequence[Question]) -> list[Inferred]:
        if isinstance(self._inference, BatchInference):
            return await self._inference.infer_many(questions)
        return await asyncio.gather(*map(self._inference.infer, questions))
