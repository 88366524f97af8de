"""Makes snapshots of everything ever graded, and gives back the one that is active."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from coterie.db import utcnow
from coterie.errors import DuplicateSnapshot, SnapshotError
from coterie.types import GradedAnswer, Profile
from skills.aggregation import is_aggregation, subject_of
from skills.answer_store import AnswerStore
from skills.estimate import profiles_of
from skills.knowledge import Knowledge
from skills.question_reader import QuestionReader
from skills.questions import StoredQuestion, graded_questions, memory_of
from skills.snapshot import SnapshotInfo, default_name, pack, read_profile, unpack
from skills.snapshot_store import SnapshotStore

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

SEEN = 200
"""Single profiles of snapshots that are kept in memory."""

Finish = Callable[[Knowledge, Sequence[StoredQuestion], Sequence[GradedAnswer]], Knowledge]
"""Adds what is chosen and fitted once for a snapshot (``choices``, ``fitted``), from its knowledge,
the questions behind the memory's rows, and all graded answers.  Runs in a thread."""


def learn(questions: Sequence[StoredQuestion], answers: Sequence[GradedAnswer]) -> Knowledge:
    """What ``answers`` to ``questions`` teach: profiles, and the memory of them.  Pure.

    A question counts for the skills that are kept with it now, whatever they were when an expert
    was graded on it; a trial of aggregation for those of the question it is about.
    """
    skills = {(q.task, q.item): q.skills for q in questions}
    current = [replace(a, skills=skills.get(subject_of(a), a.skills)) for a in answers]
    return Knowledge.of(profiles_of(current), memory=memory_of(questions, answered(current)))


def answered(answers: Sequence[GradedAnswer]) -> list[GradedAnswer]:
    """The answers to questions themselves; aggregations of others' answers are left out."""
    return [a for a in answers if not is_aggregation(a.task)]


class Archive:
    """The snapshots: made from what the stores hold, one at a time.

    ``without`` names tasks whose answers are kept, and teach nothing.
    """

    def __init__(
        self,
        answers: AnswerStore,
        snapshots: SnapshotStore,
        reader: QuestionReader,
        *,
        finish: Finish = lambda knowledge, questions, answers: knowledge,
        without: Collection[str] = (),
    ) -> None:
        self._without = frozenset(without)
        self.snapshots = snapshots
        self._answers = answers
        self._reader = reader
        self._finish = finish
        self._making = asyncio.Lock()
        self._seen: OrderedDict[tuple[str, datetime, str], Profile | None] = OrderedDict()

    async def check_name(self, name: str) -> None:
        """Raises :class:`SnapshotError` unless a new snapshot may be called ``name``."""
        if not NAME.fullmatch(name):
            raise SnapshotError(
                f"a snapshot cannot be named {name!r}: use 1 to 64 letters, digits, '.', '_' and "
                "'-', the first a letter or a digit"
            )
        if name in {info.name for info in await self.snapshots.list()}:
            raise DuplicateSnapshot(
                f"a snapshot named {name!r} is kept already, and none is ever changed: "
                "choose another name"
            )

    async def make(self, name: str | None = None, *, note: str = "") -> SnapshotInfo:
        """A new snapshot of all stored answers, which is active from now on.

        Questions that another encoder or taxonomy read are read anew first.
        """
        async with self._making:
            if name is not None:
                await self.check_name(name)
            if reread := await self._reader.refresh():
                log.info("%d profiling questions were read anew", reread)
            kept, answers = await self._answers.evidence()
            answers = [a for a in answers if a.task not in self._without]
            body = await asyncio.to_thread(self._body, kept, answers)
            return await self._add(name, note, len(answers), body)

    async def _add(self, name: str | None, note: str, answers: int, body: bytes) -> SnapshotInfo:
        now = utcnow()
        info = SnapshotInfo(
            name=name or default_name(now, body),
            created_at=now,
            note=note,
            parent=await self.snapshots.active(),
            answers=answers,
            encoder=self._reader.encoder,
        )
        try:
            await self.snapshots.add(info, body)
        except DuplicateSnapshot:
            if name is not None:
                raise
            return await self.snapshots.activate(info.name)  # the same body, a moment ago
        return info

    async def current(self, known: Knowledge) -> Knowledge:
        """The active snapshot: ``known`` itself where that is it, else read from the database.

        Raises :class:`SnapshotError` if it cannot be read.
        """
        name = await self.snapshots.active()
        if (name or "") == known.name:
            return known
        return await self.load(name) if name else Knowledge()

    async def load(self, name: str) -> Knowledge:
        """The knowledge of snapshot ``name``.

        Vectors of another encoder cannot be compared with today's questions: of such a snapshot
        only the profiles are used.
        """
        info, body = await self.snapshots.get(name), await self.snapshots.body(name)
        knowledge = await asyncio.to_thread(unpack, name, body)
        if info.encoder == self._reader.encoder:
            return knowledge
        log.warning(
            "snapshot %r was made with encoder %r, not %r: only its profiles are used; "
            "`coterie skills profile` makes a new one",
            name,
            info.encoder,
            self._reader.encoder,
        )
        return Knowledge.of(knowledge.profiles.values(), name=name)

    async def profile(self, snapshot: SnapshotInfo, expert: str) -> Profile | None:
        """The expert's profile in a snapshot, None where it has none there.

        Snapshots never change: the last few that were asked for are kept.
        """
        key = snapshot.name, snapshot.created_at, expert
        if key not in self._seen:
            body = await self.snapshots.body(snapshot.name)
            self._seen[key] = await asyncio.to_thread(read_profile, snapshot.name, body, expert)
            if len(self._seen) > SEEN:
                self._seen.popitem(last=False)
        return self._seen.get(key)

    def _body(self, kept: Sequence[StoredQuestion], answers: Sequence[GradedAnswer]) -> bytes:
        questions = graded_questions(kept, answered(answers))
        return pack(self._finish(learn(questions, answers), questions, answers))
