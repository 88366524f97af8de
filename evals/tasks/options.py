"""How a task is loaded: from where, with how many worked examples, by which columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl

from coterie.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a data set on the Hugging Face hub.

    ``secret``: it must not be kept on disk, where the hub's client would leave it in plain text.
    """

    repo: str
    path: str
    secret: bool = False


Download: TypeAlias = Callable[[HubFile], bytes]
"""Fetches a file of the hub; raises :class:`ConfigurationError` where it cannot."""


class Kind(StrEnum):
    """What the answers of one's own questions are."""

    CHOICE = "choice"
    """The letter of an option."""
    NUMBER = "number"
    EXACT = "exact"
    """A few words, compared without case and punctuation."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a file are called.

    ``options`` is one column that holds a list (or JSON text of one), or several that hold an
    option each; of these, ``question`` and ``answer`` alone must be there.
    """

    question: str = "question"
    answer: str = "answer"
    options: tuple[str, ...] = ("options",)
    category: str = "category"
    id: str = "id"
    group: str = "group"
    split: str = "split"


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """From where, and how.

    ``path`` is the file (or the folder of files) to load instead of the hub's, ``folder`` one that
    may hold any task's files.  ``shots`` is how many worked examples a question comes with (the
    task's own number where None), ``seed`` what GPQA's options are shuffled by; ``columns``,
    ``kind`` and ``name`` are for one's own files.  ``download`` None: nothing is fetched.
    """

    path: Path | None = None
    folder: Path | None = None
    shots: int | None = None
    seed: int = 0
    columns: Columns = field(default_factory=Columns)
    kind: Kind | None = None
    name: str | None = None
    download: Download | None = None


def with_query(options: TaskOptions, query: str, name: str) -> TaskOptions:
    """``options``, changed by a task's name: ``mmlu-pro?shots=0``, ``file:q.csv?answer=Solution``.

    Raises :class:`ConfigurationError` for a word that is none of them, or a wrong value.
    """
    if not query:
        return options
    given = dict(parse_qsl(query, keep_blank_values=True))
    columns = {f.name: given.pop(f.name) for f in fields(Columns) if f.name in given}
    change: dict[str, object] = {}
    for word, value in given.items():
        if word not in _READERS:
            known = [*_READERS, *(f.name for f in fields(Columns))]
            raise ConfigurationError(f"task {name!r}: no option {word!r}; known are {_list(known)}")
        change[word] = _read(word, value, name)
    return replace(options, columns=_columns(options.columns, columns), **change)  # type: ignore[arg-type]


def _columns(columns: Columns, given: Mapping[str, str]) -> Columns:
    several = {"options": tuple(given["options"].split(","))} if "options" in given else {}
    return replace(columns, **{**given, **several})  # type: ignore[arg-type]


def _read(word: str, value: str, name: str) -> object:
    try:
        return _READERS[word](value)
    except ValueError:
        allowed = _list(Kind) if word == "kind" else "whole numbers from 0 on"
        raise ConfigurationError(
            f"task {name!r}: {word}={value!r} is not allowed; allowed are {allowed}"
        ) from None


def _whole(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise ValueError(value)
    return int(value)


def _list(names: object) -> str:
    return ", ".join(map(str, names))  # type: ignore[call-overload]


_READERS: Mapping[str, Callable[[str], object]] = {
    "shots": _whole,
    "seed": _whole,
    "kind": Kind,
    "name": str,
}
