"""Recorded answers: what real experts once said to a benchmark's questions, graded.

A recording is a folder of ``questions.parquet``, ``responses.parquet`` and ``models.csv``, whose
columns docs/replay.md describes; here it becomes arrays.  Refuses to know what they are for.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError
from coterie.task_names import spelled
from coterie.types import Reading

QUESTIONS, RESPONSES, MODELS = "questions.parquet", "responses.parquet", "models.csv"

EMPTY = " "
"""Stands for an answer that was read, and is the empty text."""

LONGEST_ANSWER = 200
"""Longer answers end in a hash: all that matters of them is which are equal."""

Parameters = tuple[float | None, float | None]
"""Total and active parameters of an expert, in billions; None: not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The answers of ``e`` experts, in the order of their names, to ``q`` questions, in the file's.

    ``choices``: the texts of each question's options, none for an open one; ``targets``: the right
    answers; ``categories``: the benchmark's own labels, "" where it has none; ``groups``: questions
    of one group are variants of each other, and must never be on both sides of a split;
    ``splits`` and ``folds``: (q).

    By question and expert, (q, e): ``answers`` as they were read, "" where nothing was;
    ``correct`` 1 or 0, NaN where no answer is recorded; ``readings``, a
    :class:`coterie.types.Reading` each; ``tokens`` and ``prompt_tokens``, the length of completion
    and prompt; ``latency_s``; NaN where these are not known.
    """

    benchmark: str
    experts: tuple[str, ...]
    items: tuple[str, ...]
    texts: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    categories: tuple[str, ...]
    groups: tuple[str, ...]
    splits: NDArray[np.str_]
    folds: NDArray[np.int16]
    answers: NDArray[np.str_]
    correct: NDArray[np.float32]
    readings: NDArray[np.int8]
    tokens: NDArray[np.float32]
    prompt_tokens: NDArray[np.float32]
    latency_s: NDArray[np.float32]
    parameters: Mapping[str, Parameters]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def readable(self) -> bool:
        """Whether any answer was read; if none was, only their correctness is recorded."""
        return bool((self.answers != "").any())

    def rows(self, split: str) -> NDArray[np.intp]:
        """The questions of ``split``; raises :class:`ConfigurationError` where there is none."""
        found = np.flatnonzero(self.splits == split)
        if not len(found):
            raise _unknown("split", split, np.unique(self.splits).tolist(), self.benchmark)
        return found


def load_recording(
    folder: Path, *, benchmark: str, experts: Sequence[str] | None = None
) -> Recording:
    """The recorded answers to ``benchmark`` of ``experts``, or of all who answered it.

    The benchmark's name takes hyphen and underscore alike; experts are named exactly.  Raises
    :class:`ConfigurationError` for whatever is not there, with what is.
    """
    asked = _questions(folder, benchmark)
    items = [str(id) for id in asked["qid"].to_pylist()]
    name = str(asked["benchmark"][0].as_py())
    given = _responses(folder, name, items)
    names = _experts(given["model"], experts, name)
    cells = _Cells(given, len(items), names)
    answers = cells.answers()
    tokens = cells.numbers("completion_tokens")
    return Recording(
        benchmark=name,
        experts=names,
        items=tuple(items),
        texts=_texts(asked, "question"),
        choices=tuple(tuple(map(str, o or ())) for o in _values(asked, "options")),
        targets=_texts(asked, "answer"),
        categories=_texts(asked, "category"),
        groups=tuple(g or id for g, id in zip(_texts(asked, "group"), items, strict=True)),
        splits=np.array(_texts(asked, "split")),
        folds=np.array([f or 0 for f in _values(asked, "fold")], dtype=np.int16),
        answers=answers,
        correct=cells.numbers("correct"),
        readings=_readings(cells.numbers("extract_level"), answers),
        tokens=np.where(np.isnan(tokens), cells.numbers("n_tok_cl100k"), tokens),
        prompt_tokens=cells.numbers("prompt_tokens"),
        latency_s=cells.numbers("latency_s"),
        parameters=_parameters(folder / MODELS, names),
    )


# --- files --------------------------------------------------------------------------------------


def _questions(folder: Path, benchmark: str) -> Any:
    """The table of the benchmark's questions, in the file's order."""
    table = _read(folder / QUESTIONS, needed=("qid", "benchmark", "answer", "split"))
    there = {str(b) for b in table["benchmark"].unique().to_pylist()}
    name = {spelled(b): b for b in there}.get(spelled(benchmark))
    if name is None:
        raise _unknown("benchmark", benchmark, there, str(folder))
    return table.filter([str(b) == name for b in table["benchmark"].to_pylist()])


def _responses(folder: Path, benchmark: str, items: Sequence[str]) -> Any:
    """The table of the answers to ``items``, with each one's place in there as ``row``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = folder / RESPONSES
    table = _read(path, needed=("qid", "model", "correct"), benchmark=benchmark)
    row = pc.index_in(table["qid"].cast(pa.string()), value_set=pa.array(items, pa.string()))
    found = table.append_column("row", row).filter(pc.is_valid(row))
    if not found.num_rows:
        raise ConfigurationError(f"{str(path)!r} holds no answer to any question of {benchmark!r}")
    return found


def _read(path: Path, *, needed: Sequence[str], benchmark: str | None = None) -> Any:
    """The table in ``path``; of one benchmark, where given and where its rows say theirs."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            "recordings are parquet files, and reading them needs pyarrow: "
            "pip install 'coterie[replay]'"
        ) from error
    if not path.is_file():
        there = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise ConfigurationError(
            f"no {path.name} in {str(path.parent)!r}, where there is {_listed(there)}: a recording "
            f"is a folder of {QUESTIONS}, {RESPONSES} and {MODELS} (docs/replay.md)"
        )
    try:
        columns = pq.read_schema(path).names
        only = [("benchmark", "=", benchmark)] if benchmark and "benchmark" in columns else None
        if missing := [c for c in needed if c not in columns]:
            raise ConfigurationError(
                f"{str(path)!r} lacks the column(s) {_listed(missing)} (docs/replay.md)"
            )
        return pq.read_table(path, filters=only)
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read as parquet: {error}") from error


def _parameters(path: Path, experts: Collection[str]) -> dict[str, Parameters]:
    if not path.is_file():
        return dict.fromkeys(experts, (None, None))
    with path.open(encoding="utf-8", newline="") as file:
        known = {row.get("model", ""): row for row in csv.DictReader(file)}
    return {
        name: (
            _number(known.get(name, {}).get("total_params_b")),
            _number(known.get(name, {}).get("active_params_b")),
        )
        for name in experts
    }


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if value > 0 else None


# --- columns ------------------------------------------------------------------------------------


def _values(table: Any, column: str) -> list[Any]:
    """A column as Python values; None for each where there is no such column."""
    return table[column].to_pylist() if column in table.column_names else [None] * table.num_rows


def _texts(table: Any, column: str) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in _values(table, column))


class _Cells:
    """The columns of the answers as arrays by question and expert.

    Where an expert was recorded in several settings, the one with most answers counts (the first
    by name among equals); of several answers to one question, the first.
    """

    def __init__(self, table: Any, questions: int, experts: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = pa.array(experts, pa.string())
        column = pc.index_in(table["model"].cast(pa.string()), value_set=names)
        table = table.append_column("column", column).filter(pc.is_valid(column))
        table = table.filter(_main_setting(table, len(experts)))
        cells = table["row"].to_numpy() * len(experts) + table["column"].to_numpy()
        self._table = table.take(np.unique(cells, return_index=True)[1])
        self._shape = (questions, len(experts))
        self._places = self._table["row"].to_numpy(), self._table["column"].to_numpy()

    def numbers(self, name: str) -> NDArray[np.float32]:
        """(q, e) a column of numbers or truths; NaN where there is none."""
        import pyarrow as pa

        cells = np.full(self._shape, np.nan, dtype=np.float32)
        if name in self._table.column_names:
            column = self._table[name]
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.int8())
            cells[self._places] = column.cast(pa.float64()).to_numpy()
        return cells

    def answers(self) -> NDArray[np.str_]:
        """(q, e) what was read out of each answer; "" where nothing was."""
        levels = _values(self._table, "extract_level")
        preds = zip(_values(self._table, "pred"), levels, strict=True)
        found = np.array([_answer(pred, level) for pred, level in preds])
        cells = np.full(self._shape, "", dtype=found.dtype)
        cells[self._places] = found
        return cells


def _answer(pred: object, level: int | None) -> str:
    if pred is None:
        return ""
    return _short(str(pred)) or (EMPTY if level else "")


def _short(answer: str) -> str:
    if len(answer) <= LONGEST_ANSWER:
        return answer
    return answer[: LONGEST_ANSWER - 32] + hashlib.sha256(answer.encode()).hexdigest()[:32]


def _main_setting(table: Any, experts: int) -> NDArray[np.bool_]:
    names, setting = np.unique(np.array(_texts(table, "setting")), return_inverse=True)
    column = table["column"].to_numpy()
    counts = np.zeros((experts, len(names)), dtype=np.intp)
    np.add.at(counts, (column, setting), 1)
    return np.asarray(counts.argmax(axis=1)[column] == setting)


def _readings(levels: NDArray[np.float32], answers: NDArray[np.str_]) -> NDArray[np.int8]:
    """How each answer was read; in the form asked for, where that is not said."""
    said = np.where(np.isnan(levels) | (levels < 1), Reading.STATED, levels)
    found = np.where(answers == "", Reading.NOTHING, np.minimum(said, Reading.GUESSED))
    return found.astype(np.int8)


# --- names --------------------------------------------------------------------------------------


def _experts(column: Any, asked: Sequence[str] | None, benchmark: str) -> tuple[str, ...]:
    there = {str(name) for name in column.unique().to_pylist()}
    for name in asked or ():
        if name not in there:
            raise _unknown("expert", name, there, benchmark)
    return tuple(sorted(set(asked) if asked else there))


def _unknown(kind: str, name: str, there: Collection[str], place: str) -> ConfigurationError:
    close = difflib.get_close_matches(name, there, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return ConfigurationError(
        f"no {kind} {name!r} in the recording of {place}: {hint}There is {_listed(sorted(there))}"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
