"""Stored graded answers become a recording, so that what was asked once can be replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from aggregator.extract import choices_of
from coterie.errors import ConfigurationError
from coterie.ports import Task
from coterie.types import Expert, GradedAnswer, Item, Reading
from evals.record import RecordedAnswer, RecordedQuestion, write_recording

SPLITS = ("val", "test")


def record(
    folder: Path,
    task: Task,
    answers: Iterable[GradedAnswer],
    experts: Sequence[Expert],
    *,
    texts: bool = False,
) -> tuple[int, int]:
    """Writes the answers to questions that ``task`` has; returns how many of both.

    With ``texts`` the experts' whole outputs too.
    """
    if task.secret:
        raise ConfigurationError(
            f"the questions of {task.name!r} must not be written down in plain text, as a "
            "recording would: make recordings of other tasks"
        )
    items = {item.id: (split, item) for split in SPLITS for item in task.items(split)}
    given = [a for a in answers if a.item in items]
    if not given:
        raise ConfigurationError(
            f"no answer to a question of {task.name!r} is stored: run `coterie skills profile "
            f"--task {task.name}` first"
        )
    asked = sorted({a.item for a in given})
    write_recording(
        folder,
        benchmark=task.name,
        questions=[_question(*items[id]) for id in asked],
        answers=[_answer(a, texts=texts) for a in given],
        parameters={e.name: (e.total_params_b, e.active_params_b) for e in experts},
    )
    return len(asked), len(given)


def _question(split: str, item: Item) -> RecordedQuestion:
    text = item.about or item.question.text
    return RecordedQuestion(
        item.id,
        text,
        item.target,
        split,
        item.category,
        options=item.choices or choices_of(text),
        group=item.group,
    )


def _answer(a: GradedAnswer, *, texts: bool) -> RecordedAnswer:
    return RecordedAnswer(
        a.item,
        a.expert,
        a.extracted,
        a.correct,
        reading=a.reading if a.extracted else Reading.NOTHING,
        prompt_tokens=a.usage.prompt_tokens or None,
        completion_tokens=a.usage.completion_tokens or None,
        latency_s=a.latency_s or None,
        output=a.output if texts else None,
    )
