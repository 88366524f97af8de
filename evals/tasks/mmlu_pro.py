"""MMLU-Pro (Wang et al., arXiv 2406.01574): up to ten options, 14 subjects; five worked examples.

The prompt is that of its authors: an instruction, worked examples of the question's own subject,
and the question, which the model continues.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from coterie.errors import ConfigurationError
from coterie.types import Item, Question
from evals.extract import LETTERS
from evals.tasks.files import Row
from evals.tasks.options import HubFile, TaskOptions
from evals.tasks.question_task import QuestionTask, grade_choice, listed
from evals.tasks.sources import Source, rows_of
from evals.tasks.splits import is_val, variants

REPO = "TIGER-Lab/MMLU-Pro"
QUESTIONS = Source(("mmlu_pro_test.parquet",), HubFile(REPO, "data/test-00000-of-00001.parquet"))
EXAMPLES = Source(
    ("mmlu_pro_cot_examples.jsonl", "mmlu_pro_validation.parquet"),
    HubFile(REPO, "data/validation-00000-of-00001.parquet"),
)
SHOTS = 5

# The sentence is the benchmark's own, so that scores compare.
INSTRUCTION = (
    "The following are multiple choice questions (with answers) about {category}. Think step by "
    'step and then finish your answer with "the answer is (X)" where X is the correct letter '
    "choice."
)
LEAD = "Let's think step by step."


def mmlu_pro(options: TaskOptions) -> QuestionTask:
    """Splits: ``val`` and ``test`` are the published test questions divided, ``all`` is both."""
    shots = SHOTS if options.shots is None else options.shots

    @cache
    def load() -> tuple[Item, ...]:
        examples = _examples(rows_of(EXAMPLES, options)) if shots else {}
        return tuple(_items(rows_of(QUESTIONS, options, main=True), examples, shots))

    return QuestionTask(
        "mmlu-pro",
        {
            "val": lambda: [item for item in load() if is_val(item.group)],
            "test": lambda: [item for item in load() if not is_val(item.group)],
            "all": load,
        },
        grade_choice,
    )


def _items(
    rows: Sequence[Row], examples: Mapping[str, Sequence[str]], shots: int
) -> Iterator[Item]:
    try:
        ids = [f"mmlu_pro/{row['question_id']}" for row in rows]
        texts = [str(row["question"]) for row in rows]
        choices = [_choices(row) for row in rows]
        labels = [(str(row["answer"]), str(row["category"])) for row in rows]
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"MMLU-Pro's file lacks the column {error}") from None
    groups = variants(ids, texts, choices)
    for id, text, options, (answer, category), group in zip(
        ids, texts, choices, labels, groups, strict=True
    ):
        worked = examples.get(category, ())[:shots]
        yield Item(
            id=id,
            question=Question.of(_prompt(text, options, category, worked)),
            target=answer,
            category=category,
            about=f"{text}\n{listed(options)}",
            choices=options,
            group=group,
        )


def _choices(row: Row) -> tuple[str, ...]:
    """The options; the benchmark fills some questions up with "N/A"."""
    return tuple(str(o) for o in row["options"] if str(o) != "N/A")[: len(LETTERS)]


def _prompt(text: str, choices: Sequence[str], category: str, worked: Sequence[str]) -> str:
    parts = [INSTRUCTION.format(category=category), *worked, _asked(text, choices) + LEAD]
    return "\n\n".join(parts)


def _asked(text: str, choices: Sequence[str]) -> str:
    return f"Question:\n{text}\nOptions:\n{listed(choices)}\nAnswer: "


def _examples(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The worked examples of each subject, in the file's order."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        reasoning = str(row["cot_content"]).removeprefix("A: ")
        found[str(row["category"])].append(_asked(str(row["question"]), _choices(row)) + reasoning)
    return dict(found)
