"""GPQA (Rein et al., arXiv 2311.12022): graduate-level questions by experts, four options.

Its authors ask that the questions never appear in plain text where a crawler might find them: they
are decrypted in memory, fetched into memory, and the task says that it is secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from random import Random

from coterie.errors import ConfigurationError
from coterie.types import Item, Question
from evals.extract import LETTERS
from evals.tasks.files import Row
from evals.tasks.options import HubFile, TaskOptions
from evals.tasks.question_task import QuestionTask, grade_choice, listed
from evals.tasks.sources import Source, rows_of
from evals.tasks.splits import is_val

REPO = "Idavidrein/gpqa"
PASSWORD = b"deserted-untie-orchid"
"""As the authors publish it beside the archive: it keeps crawlers out, not people."""
SUBSETS = ("diamond", "main", "extended")

_ANSWERS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_INSTRUCTION = (
    "Choose the correct answer to this question.\n\n{about}\n\nThink step by step. Then finish "
    'with "The correct answer is (X)", where X is the letter of your choice.'
)


def gpqa(subset: str, options: TaskOptions) -> QuestionTask:
    """Splits: ``val`` and ``test`` divide the subset, alike in all three subsets; ``all`` is both.

    diamond is a part of main, and main of extended: no question that is in one's ``val`` is in
    another's ``test``.
    """
    source = Source(
        (f"gpqa_dataset.zip!dataset/gpqa_{subset}.csv", f"dataset.zip!dataset/gpqa_{subset}.csv"),
        HubFile(REPO, f"gpqa_{subset}.csv", secret=True),
        PASSWORD,
    )

    @cache
    def load() -> tuple[Item, ...]:
        return tuple(_items(rows_of(source, options, main=True), options.seed))

    return QuestionTask(
        f"gpqa-{subset}",
        {
            "val": lambda: [item for item in load() if is_val(item.group)],
            "test": lambda: [item for item in load() if not is_val(item.group)],
            "all": load,
        },
        grade_choice,
        secret=True,
    )


def _items(rows: Sequence[Row], seed: int) -> Iterator[Item]:
    for row in rows:
        try:
            id, text = f"gpqa/{row['Record ID']}", str(row["Question"]).strip()
            answers = [str(row[column]).strip() for column in _ANSWERS]
            category = str(row.get("High-level domain") or "")
        except KeyError as error:
            raise ConfigurationError(f"GPQA's file lacks the column {error}") from None
        # By question, not by place: a question has its options in one order in every subset.
        order = list(range(len(answers)))
        Random(f"{seed} {id}").shuffle(order)
        choices = tuple(answers[i] for i in order)
        about = f"{text}\n\n{listed(choices, '({}) {}')}"
        yield Item(
            id=id,
            question=Question.of(_INSTRUCTION.format(about=about)),
            target=LETTERS[order.index(0)],
            category=category,
            about=about,
            choices=choices,
            group=id,
        )
