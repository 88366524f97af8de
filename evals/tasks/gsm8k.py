"""GSM8K (Cobbe et al., arXiv 2110.14168): grade-school word problems; the answer is a number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache

from coterie.errors import ConfigurationError
from coterie.types import Item, Question
from evals.tasks.files import Row
from evals.tasks.options import HubFile, TaskOptions
from evals.tasks.question_task import QuestionTask, grade_number, numeric_target
from evals.tasks.sources import Source, rows_of

REPO = "openai/gsm8k"
TRAIN = Source(
    ("gsm8k_train.jsonl", "train.jsonl"), HubFile(REPO, "main/train-00000-of-00001.parquet")
)
TEST = Source(("gsm8k_test.jsonl", "test.jsonl"), HubFile(REPO, "main/test-00000-of-00001.parquet"))
SHOTS = 8

_CALCULATION = re.compile(r"<<[^<>]{0,200}>>")
_INSTRUCTION = (
    'Solve the problem step by step. Then finish with "The answer is N.", where N is a number '
    "without its unit."
)


def gsm8k(options: TaskOptions) -> QuestionTask:
    """Splits: ``val`` is the published training set without the worked examples, ``test`` the
    published test set."""
    shots = SHOTS if options.shots is None else options.shots

    @cache
    def train() -> tuple[tuple[str, Row], ...]:
        return tuple(_named(rows_of(TRAIN, options), "train"))

    @cache
    def examples() -> tuple[tuple[str, Row], ...]:
        return tuple(sorted(train(), key=lambda named: _draw(named[0]))[:shots]) if shots else ()

    def worked() -> list[str]:
        return [_worked(row, id) for id, row in examples()]

    def val() -> list[Item]:
        taken = {id for id, _ in examples()}
        return [_item(id, row, worked()) for id, row in train() if id not in taken]

    def test() -> list[Item]:
        shown = worked()
        rows = rows_of(TEST, options, main=True)
        return [_item(id, row, shown) for id, row in _named(rows, "test")]

    return QuestionTask("gsm8k", {"val": val, "test": test}, grade_number)


def _named(rows: Sequence[Row], part: str) -> Iterator[tuple[str, Row]]:
    """The publisher gives no ids: the place in the file is one."""
    for i, row in enumerate(rows):
        if not {"question", "answer"} <= row.keys():
            raise ConfigurationError(f"GSM8K's {part} file lacks 'question' or 'answer' in row {i}")
        yield f"gsm8k/{part}/{i}", row


def _item(id: str, row: Row, worked: Sequence[str]) -> Item:
    text = str(row["question"]).strip()
    prompt = "\n\n".join([_INSTRUCTION, *worked, f"Problem: {text}\nSolution:"])
    return Item(
        id=id,
        question=Question.of(prompt),
        target=_target(row, id),
        category="grade-school math",
        about=text,
        group=id,
    )


def _worked(row: Row, id: str) -> str:
    """A solution of the training set, as the instruction wants it."""
    solution = _CALCULATION.sub("", str(row["answer"])).partition("####")[0].strip()
    problem = str(row["question"]).strip()
    return f"Problem: {problem}\nSolution: {solution}\nThe answer is {_target(row, id)}."


def _target(row: Row, id: str) -> str:
    return numeric_target(str(row["answer"]).rpartition("####")[2].strip(), id)


def _draw(id: str) -> str:
    return hashlib.sha256(f"example {id}".encode()).hexdigest()
