"""MedMCQA (Pal et al., PMLR 174, 2022): questions of Indian medical entrance exams, four options.

Read from the hub's files, from the publisher's JSON Lines, and from the Symbolic-MoE paper's JSON
files, where the options are part of the question's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from coterie.errors import ConfigurationError
from coterie.types import Item, Question
from evals.extract import LETTERS
from evals.tasks.files import Row
from evals.tasks.options import HubFile, TaskOptions
from evals.tasks.question_task import QuestionTask, grade_choice, listed, whole
from evals.tasks.sources import Source, rows_of
from evals.tasks.splits import draw

REPO = "openlifescienceai/medmcqa"
TRAIN = Source(
    ("MedMCQA_train.json", "medmcqa_train.json"),
    HubFile(REPO, "data/train-00000-of-00001.parquet"),
)
TEST = Source(
    ("MedMCQA_test.json", "medmcqa_dev.json"),
    HubFile(REPO, "data/validation-00000-of-00001.parquet"),
)
VAL = 2000
"""Of the training set's 180,000 questions so many are taken, the first by id's hash."""

_COLUMNS = ("opa", "opb", "opc", "opd")
_IN_TEXT = re.compile(r"(.*)The options are:\s*\(A\)(.*?)\(B\)(.*?)\(C\)(.*?)\(D\)(.*)", re.DOTALL)
_INSTRUCTION = (
    "Answer this question of a medical entrance exam.\n\n{about}\n\nThink step by step. Then "
    'finish with "The answer is (X)", where X is the letter of your choice.'
)


def medmcqa(options: TaskOptions) -> QuestionTask:
    """Splits: ``val`` is drawn from the published training set, ``test`` the published validation
    set (the answers of its test set are not published)."""

    def val() -> list[Item]:
        found = sorted(_items(rows_of(TRAIN, options), "train"), key=draw)
        return found[:VAL]

    def test() -> list[Item]:
        return list(_items(rows_of(TEST, options, main=True), "test"))

    return QuestionTask("medmcqa", {"val": val, "test": test}, grade_choice)


def _items(rows: Sequence[Row], part: str) -> Iterator[Item]:
    # The publisher's own files number the options from 1, the hub's from 0.
    first = 0 if any(str(row.get("cop")) == "0" for row in rows) else 1
    for i, row in enumerate(rows):
        id = f"medmcqa/{row.get('id') or f'{part}/{i}'}"
        text, choices, target = _read(row, id, first)
        about = f"{text}\n{listed(choices)}"
        yield Item(
            id=id,
            question=Question.of(_INSTRUCTION.format(about=about)),
            target=target,
            category=str(row.get("subject_name") or "medicine"),
            about=about,
            choices=choices,
            group=id,
        )


def _read(row: Row, id: str, first: int) -> tuple[str, tuple[str, ...], str]:
    """The question, its options, and the right one's letter."""
    if "gold_answer" in row:
        found = _IN_TEXT.fullmatch(str(row.get("question")))
        letter = str(row["gold_answer"]).strip().upper()
        if not found or letter not in LETTERS[:4]:
            raise ConfigurationError(f"{id}: no question with options (A) to (D) and a gold_answer")
        text, *choices = (part.strip() for part in found.groups())
        return text, tuple(choices), letter
    if not {"question", "cop", *_COLUMNS} <= row.keys():
        raise ConfigurationError(
            f"{id}: MedMCQA's columns are question, cop, {', '.join(_COLUMNS)}"
        )
    place = whole(row["cop"], id) - first
    if not 0 <= place < len(_COLUMNS):
        raise ConfigurationError(f"{id}: the answer is not published: take another of its files")
    choices = [str(row[column]).strip() for column in _COLUMNS]
    return str(row["question"]).strip(), tuple(choices), LETTERS[place]
