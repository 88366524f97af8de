"""One's own questions: a JSONL, JSON, CSV or parquet file, with columns called as one likes."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from coterie.errors import ConfigurationError
from coterie.types import Item, Question
from evals.extract import LETTERS
from evals.numbers import canonical_number
from evals.plain import plain_text
from evals.tasks.files import Row, read_rows
from evals.tasks.options import Columns, Kind, TaskOptions
from evals.tasks.question_task import (
    QuestionTask,
    grade_choice,
    grade_number,
    grade_text,
    listed,
)
from evals.tasks.splits import is_val

_GRADERS = {Kind.CHOICE: grade_choice, Kind.NUMBER: grade_number, Kind.EXACT: grade_text}
_ENDINGS = {
    Kind.CHOICE: '"The answer is (X)", where X is the letter of your choice.',
    Kind.NUMBER: '"The answer is N.", where N is a number without its unit.',
    Kind.EXACT: '"The answer is X.", where X is the answer in as few words as possible.',
}


def own(path: Path, options: TaskOptions) -> QuestionTask:
    """Splits as the file's ``split`` column names them; without one, ``val`` (a fifth, drawn by
    the hash of the id or group), ``test`` and ``all``.

    The kind, where it is not given, follows from the columns: options make a choice, answers that
    are all numbers are numbers, anything else is compared as words.

    Raises:
        ConfigurationError: the file cannot be read, or a row makes no question.
    """
    if not path.is_file():
        raise ConfigurationError(f"there is no file {str(path)!r} to load questions from")
    rows = read_rows(path.read_bytes(), path.name)
    columns = options.columns
    if not rows:
        raise ConfigurationError(f"{path.name!r} holds no questions")
    _check(rows, columns, path.name)
    kind = options.kind or _kind(rows, columns)
    name = options.name or path.stem
    items = [
        _item(row, columns, kind, name, f"{path.name!r}, row {i}")
        for i, row in enumerate(rows, start=1)
    ]
    _check_ids(items, path.name)
    return QuestionTask(name, _splits(rows, items, columns), _GRADERS[kind])


def _splits(
    rows: Sequence[Row], items: Sequence[Item], columns: Columns
) -> dict[str, Callable[[], list[Item]]]:
    named: defaultdict[str, list[Item]] = defaultdict(list)
    for row, item in zip(rows, items, strict=True):
        split = _text(row, columns.split)
        for name in (split,) if split else ("val" if is_val(item.group) else "test", "all"):
            named[name].append(item)
    return {name: partial(list, found) for name, found in sorted(named.items())}


# --- a row --------------------------------------------------------------------------------------


def _item(row: Row, columns: Columns, kind: Kind, name: str, where: str) -> Item:
    text = _text(row, columns.question)
    if not text:
        raise ConfigurationError(f"{where}: the question is empty")
    choices = _choices(row, columns, where) if kind is Kind.CHOICE else ()
    about = f"{text}\n\n{listed(choices)}" if choices else text
    key = _text(row, columns.id) or hashlib.sha256(about.encode()).hexdigest()[:16]
    ending = f"Think step by step. Then finish with {_ENDINGS[kind]}"
    return Item(
        id=f"{name}/{key}",
        question=Question.of(f"{about}\n\n{ending}"),
        target=_target(row.get(columns.answer), kind, choices, where),
        category=_text(row, columns.category),
        about=about,
        choices=choices,
        group=_text(row, columns.group) or f"{name}/{key}",
    )


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value).strip()


def _choices(row: Row, columns: Columns, where: str) -> tuple[str, ...]:
    if len(columns.options) > 1:
        found = [_text(row, column) for column in columns.options]
    else:
        found = [str(option).strip() for option in _list(row.get(columns.options[0]))]
    found = [option for option in found if option]
    if not 2 <= len(found) <= len(LETTERS):
        raise ConfigurationError(f"{where}: a choice needs 2 to {len(LETTERS)} options")
    return tuple(found)


def _list(value: object) -> Sequence[object]:
    """A list, or JSON text of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    return value if isinstance(value, list) else ()


# --- answers ------------------------------------------------------------------------------------


def _target(answer: object, kind: Kind, choices: Sequence[str], where: str) -> str:
    if kind is Kind.CHOICE:
        return _letter(answer, choices, where)
    accepted = [str(a) for a in (answer if isinstance(answer, list) else [answer])]
    form = canonical_number if kind is Kind.NUMBER else plain_text
    targets = [form(a) for a in accepted]
    if answer is None or not targets or not all(targets):
        what = "a number" if kind is Kind.NUMBER else "a text"
        raise ConfigurationError(f"{where}: the answer must be {what}, or a list of such")
    return "\n".join(str(target) for target in targets)


def _letter(answer: object, choices: Sequence[str], where: str) -> str:
    """The letter of the right option: given as that, as its text, or as its place from 0 on."""
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return LETTERS[answer]
    said = str(answer).strip()
    same = [i for i, choice in enumerate(choices) if choice == said]
    if len(same) == 1:
        return LETTERS[same[0]]
    letter = said.strip("().").upper()
    if len(letter) == 1 and letter in LETTERS[: len(choices)]:
        return letter
    raise ConfigurationError(
        f"{where}: the answer must be an option's letter, its text, or its place (a number from 0)"
    )


def _kind(rows: Sequence[Row], columns: Columns) -> Kind:
    if any(column in rows[0] for column in columns.options):
        return Kind.CHOICE
    numbers = (canonical_number(_text(row, columns.answer)) for row in rows)
    return Kind.NUMBER if all(number is not None for number in numbers) else Kind.EXACT


# --- checks -------------------------------------------------------------------------------------


def _check(rows: Sequence[Row], columns: Columns, file: str) -> None:
    there = set().union(*(row.keys() for row in rows))
    missing = [column for column in _needed(columns) if column not in there]
    if missing:
        raise ConfigurationError(
            f"{file!r} has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(sorted(map(str, there)))}. Say what a column is called: "
            "file:PATH?question=NAME&answer=NAME (docs/tasks.md)"
        )


def _needed(columns: Columns) -> Iterator[str]:
    """The columns that must be there: question, answer, and all that were named."""
    yield from (columns.question, columns.answer)
    if columns.options != Columns().options:
        yield from columns.options
    for column in ("category", "id", "group", "split"):
        if getattr(columns, column) != column:
            yield getattr(columns, column)


def _check_ids(items: Sequence[Item], file: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise ConfigurationError(f"{file!r} has two questions of one id: {item.id!r}")
        seen.add(item.id)
