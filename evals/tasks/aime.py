"""AIME: problems of the American Invitational Mathematics Examination; answers are 0 to 999.

Read from the hub's files and from the Symbolic-MoE paper's JSON files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coterie.errors import ConfigurationError
from coterie.types import Item, Question
from evals.tasks.files import Row
from evals.tasks.options import HubFile, TaskOptions
from evals.tasks.question_task import QuestionTask, grade_number, whole
from evals.tasks.sources import Source, rows_of

EARLIER = Source(
    ("AIME24_train.json",), HubFile("di-zhang-fdu/AIME_1983_2024", "AIME_Dataset_1983_2024.csv")
)
OF_2024 = Source(
    ("AIME24_test.json",), HubFile("Maxwell-Jia/AIME_2024", "aime_2024_problems.parquet")
)
HIGHEST = 999

_INSTRUCTION = (
    "Solve this problem. Its answer is a whole number from 0 to 999.\n\n{text}\n\n"
    "Reason step by step, and put the final answer within \\boxed{{}}."
)


def aime(options: TaskOptions) -> QuestionTask:
    """Splits: ``test`` is AIME I and II of 2024, ``val`` problems of earlier years."""

    def val() -> list[Item]:
        rows = rows_of(EARLIER, options)
        return list(_items([r for r in rows if str(r.get("Year")) != "2024"], "earlier"))

    def test() -> list[Item]:
        return list(_items(rows_of(OF_2024, options, main=True), "2024"))

    return QuestionTask("aime", {"val": val, "test": test}, grade_number)


def _items(rows: Sequence[Row], part: str) -> Iterator[Item]:
    for i, row in enumerate(rows):
        id = f"aime/{row.get('ID') or f'{part}/{i}'}"
        text = _first(row, ("question", "Question", "Problem"), id).strip()
        answer = _first(row, ("gold_answer", "Answer", "answer"), id)
        yield Item(
            id=id,
            question=Question.of(_INSTRUCTION.format(text=text)),
            target=_target(answer, id),
            category="competition math",
            about=text,
            group=id,
        )


def _target(answer: str, id: str) -> str:
    """The answer; where two were accepted ("80 or 81 (both ...)"), one a line."""
    numbers = [whole(part, id) for part in answer.partition("(")[0].split(" or ")]
    if not all(0 <= number <= HIGHEST for number in numbers):
        raise ConfigurationError(f"{id}: an answer of AIME is 0 to {HIGHEST}")
    return "\n".join(map(str, numbers))


def _first(row: Row, columns: Sequence[str], id: str) -> str:
    for column in columns:
        if row.get(column) not in (None, ""):
            return str(row[column])
    raise ConfigurationError(f"{id}: there is none of the columns {', '.join(columns)}")
