"""Recorded answers become graded answers of registered experts, straight in the database.

Needs no server: a running one finds the new snapshot by itself.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coterie.db import Database
from coterie.errors import ConfigurationError
from coterie.task_names import evidence_item
from coterie.types import Expert, GradedAnswer, Reading, Skill, Usage
from evals.recorded import Recording
from orchestrator import schema
from orchestrator.bootstrap import archive_of, policy_of, question_reader
from orchestrator.experts_file import load_experts
from orchestrator.recorded_experts import experts_of, newcomers
from orchestrator.recordings import load_recordings
from orchestrator.replay.teaching import Teacher
from orchestrator.settings import Settings
from skills.answer_store import AnswerStore
from skills.encoder import Encoder, load_encoder
from skills.expert_store import ExpertStore
from skills.experts import Registry
from skills.infer import EmbeddingInference
from skills.question_reader import QuestionReader
from skills.questions import StoredQuestion
from skills.snapshot import SnapshotInfo
from skills.taxonomy import DEFAULT_TAXONOMY

Tell = Callable[[str, int, int], None]
"""Told of which benchmark how many of how many questions are read."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What is imported: the answers of ``experts`` to ``split`` of ``benchmarks``; of all where
    none is named.  ``register``: recorded models that are no experts yet become disabled ones;
    ``name`` is what the snapshot will be called."""

    folder: Path
    benchmarks: tuple[str, ...] = ()
    experts: tuple[str, ...] = ()
    split: str = "val"
    register: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import has kept, and the snapshot it made."""

    questions: int
    answers: int
    registered: tuple[str, ...]
    snapshot: SnapshotInfo


async def run_import(
    settings: Settings,
    plan: ImportPlan,
    tell: Tell = lambda benchmark, done, total: None,
    *,
    encoder: Encoder | None = None,
) -> Imported:
    """Imports into the database of these settings, and makes a snapshot.

    Raises :class:`coterie.errors.CoterieError`, before anything is kept, where a benchmark, a split
    or an expert is unknown.
    """
    recordings = await asyncio.to_thread(
        load_recordings, plan.folder, plan.benchmarks, plan.experts
    )
    parts = [(r, rows) for r in recordings if len(rows := _rows(r, plan.split))]
    if not parts:
        splits = sorted({str(s) for r in recordings for s in r.splits})
        raise ConfigurationError(
            f"{str(plan.folder)!r} has no questions of split {plan.split!r}; "
            f"it has {', '.join(map(repr, splits))}"
        )
    await schema.ensure(settings.database_url)
    database = Database(settings.database_url)
    try:
        return await _Import(settings, plan, database, encoder).run(parts, tell)
    finally:
        await database.close()


class _Import:
    """One import, with the stores it writes to."""

    def __init__(
        self, settings: Settings, plan: ImportPlan, database: Database, encoder: Encoder | None
    ) -> None:
        self._plan = plan
        self._registry = Registry(ExpertStore(database))
        self._answers = AnswerStore(database)
        self._reader = _reader(settings, self._answers, encoder)
        self._experts: dict[str, Expert] = {}
        teacher = Teacher(policy_of(settings), lambda: self._experts)
        self._archive = archive_of(settings, database, self._answers, self._reader, teacher)

    async def run(
        self, parts: Sequence[tuple[Recording, NDArray[np.intp]]], tell: Tell
    ) -> Imported:
        if self._plan.name is not None:
            await self._archive.check_name(self._plan.name)
        recordings = [r for r, _ in parts]
        known = await self._registry.list()
        added = newcomers(recordings, known) if self._plan.register else []
        names = experts_of(recordings, [*known, *added])
        for expert in added:
            await self._registry.add(expert)
        self._experts = {e.name: e for e in (*known, *added)}
        questions, count = 0, 0
        for recording, rows in parts:
            told = partial(tell, recording.benchmark)
            read = await self._reader.read(
                recording.benchmark, [_question(recording, row) for row in rows], told
            )
            answers = list(_graded(recording, rows, names, read))
            await self._answers.save_answers(answers, run=f"recorded: {self._plan.folder.name}")
            questions, count = questions + len(rows), count + len(answers)
        made = await self._archive.make(self._plan.name, note=self._note(parts, names))
        return Imported(questions, count, tuple(e.name for e in added), made)

    def _note(self, parts: Sequence[tuple[Recording, object]], names: Mapping[str, str]) -> str:
        benchmarks = ", ".join(r.benchmark for r, _ in parts)
        return f"imported {benchmarks} ({self._plan.split}) of {len(names)} experts"


def _reader(settings: Settings, answers: AnswerStore, encoder: Encoder | None) -> QuestionReader:
    """Skills come from embeddings, whatever the service infers them by: no expert is asked."""
    taxonomy = _taxonomy(settings)
    encoder = encoder or load_encoder(settings.embedding_model, settings.cache_dir)
    return question_reader(settings, EmbeddingInference(taxonomy, encoder), answers, taxonomy)


def _taxonomy(settings: Settings) -> Sequence[Skill]:
    if not settings.config.is_file():
        return DEFAULT_TAXONOMY
    return load_experts(settings.config, settings.environ).skills or DEFAULT_TAXONOMY


# --- rows of a recording ------------------------------------------------------------------------


def _rows(recording: Recording, split: str) -> NDArray[np.intp]:
    return np.flatnonzero(recording.splits == split)


def _question(recording: Recording, row: int) -> StoredQuestion:
    choices = recording.choices[row]
    return StoredQuestion(
        task=recording.benchmark,
        item=evidence_item(recording.items[row]),
        text=recording.texts[row],
        category=recording.categories[row],
        target=recording.targets[row],
        options=len(choices),
        choices=choices,
        group=recording.groups[row],
    )


def _graded(
    recording: Recording,
    rows: NDArray[np.intp],
    names: Mapping[str, str],
    questions: Mapping[str, StoredQuestion],
) -> Iterator[GradedAnswer]:
    """Every answer that is recorded to ``rows``, under the registered name of who gave it."""
    for column, recorded in enumerate(recording.experts):
        for row in rows[~np.isnan(recording.correct[rows, column])]:
            cell = (row, column)
            item = evidence_item(recording.items[row])
            yield GradedAnswer(
                expert=names[recorded],
                task=recording.benchmark,
                item=item,
                skills=questions[item].skills,
                output="",
                extracted=str(recording.answers[cell]) or None,
                correct=bool(recording.correct[cell]),
                usage=Usage(
                    int(_known(recording.prompt_tokens[cell])), int(_known(recording.tokens[cell]))
                ),
                latency_s=_known(recording.latency_s[cell]),
                reading=Reading(int(recording.readings[cell])),
            )


def _known(value: float) -> float:
    """``value``; 0, which is how the store says "not known", for NaN."""
    return 0.0 if math.isnan(value) else float(value)
