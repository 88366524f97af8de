"""Experts × skills, a window at a time: how good, and how sure that is.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.types import OVERALL
from skills.knowledge import Knowledge, Table

SKILLS, EXPERTS = 25, 12
"""What a window shows."""
LEAST = 5.0
"""Graded answers under which an expert's skill lacks data."""
UNSURE = 0.29
"""The spread of a probability of which nothing is known."""


class Order(StrEnum):
    """What comes first."""

    EVIDENCE = "evidence"
    """The most graded answers."""
    SPREAD = "spread"
    """Experts differ most."""
    LACKING = "lacking"
    """Most experts lack answers."""
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which window: texts that names must hold, the order, and where it begins."""

    q: str = ""
    expert: str = ""
    order: Order = Order.EVIDENCE
    row: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """An expert at a skill; ``tone`` is 0 (poor) to 9 (good), ``size`` 1 (unsure) to 5 (sure)."""

    mean: float
    sd: float
    n: float
    tone: int
    size: int


@dataclass(frozen=True, slots=True)
class Row:
    """A skill: ``answers`` is how many were graded, ``lacking`` how many experts have too few."""

    skill: str
    answers: float
    spread: float
    lacking: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """A window of ``skills`` × ``all_experts`` that pass."""

    wanted: Wanted
    experts: tuple[str, ...]
    overall: tuple[Cell, ...]
    rows: tuple[Row, ...]
    skills: int
    all_experts: int

    @property
    def row_pages(self) -> tuple[int | None, int | None]:
        """Where the windows before and after begin; None: there is none."""
        return _around(self.wanted.row, SKILLS, self.skills)

    @property
    def column_pages(self) -> tuple[int | None, int | None]:
        return _around(self.wanted.column, EXPERTS, self.all_experts)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Of each skill that is known: answers, the spread between experts, experts that lack data."""

    names: tuple[str, ...]
    answers: NDArray[np.float64]
    spread: NDArray[np.float64]
    lacking: NDArray[np.int64]


def sums_of(knowledge: Knowledge, taxonomy: Sequence[str], experts: tuple[str, ...]) -> Sums:
    """Sums over all ``experts``; computed once for a snapshot."""
    names = tuple(taxonomy)
    return knowledge.once(("heat", names, experts), lambda: _sums(knowledge, names, experts))


def heat(
    knowledge: Knowledge, taxonomy: Sequence[str], experts: tuple[str, ...], wanted: Wanted
) -> Heat:
    """The window that is wanted."""
    sums, table = sums_of(knowledge, taxonomy, experts), knowledge.table(experts)
    seen = [i for i, name in enumerate(sums.names) if wanted.q.casefold() in name.casefold()]
    rows = sorted(seen, key=_key(sums, wanted.order))
    columns = [i for i, n in enumerate(experts) if wanted.expert.casefold() in n.casefold()]
    shown = columns[wanted.column : wanted.column + EXPERTS]
    return Heat(
        wanted,
        tuple(experts[i] for i in shown),
        _cells(table, OVERALL, shown),
        tuple(
            Row(
                sums.names[i],
                float(sums.answers[i]),
                float(sums.spread[i]),
                int(sums.lacking[i]),
                _cells(table, sums.names[i], shown),
            )
            for i in rows[wanted.row : wanted.row + SKILLS]
        ),
        len(rows),
        len(columns),
    )


def lacks(knowledge: Knowledge, experts: tuple[str, ...], skill: str = OVERALL) -> tuple[str, ...]:
    """The experts with too few answers on ``skill`` (on anything, where none is named)."""
    table = knowledge.table(experts)
    row = table.rows.get(skill)
    found = np.zeros(len(experts)) if row is None else table.n[row]
    return tuple(name for name, n in zip(experts, found, strict=True) if n < LEAST)


def _sums(knowledge: Knowledge, taxonomy: tuple[str, ...], experts: tuple[str, ...]) -> Sums:
    table = knowledge.table(experts)
    known = [name for name in table.rows if name != OVERALL]
    names = tuple(sorted({*taxonomy, *known}))
    rows = [table.rows.get(name, -1) for name in names]
    there = np.array([[row >= 0] for row in rows]).reshape(-1, 1)
    n = np.where(there, table.n[rows], 0.0)
    mean = np.where(n > 0, table.mean[rows], np.nan)
    graded = (n > 0).sum(axis=1) > 1
    spread = np.zeros(len(names))
    spread[graded] = np.nanmax(mean[graded], axis=1) - np.nanmin(mean[graded], axis=1)
    return Sums(names, n.sum(axis=1), spread, (n < LEAST).sum(axis=1))


def _key(sums: Sums, order: Order) -> Callable[[int], Any]:
    by: dict[Order, Callable[[int], Any]] = {
        Order.EVIDENCE: lambda i: (-sums.answers[i], sums.names[i]),
        Order.SPREAD: lambda i: (-sums.spread[i], sums.names[i]),
        Order.LACKING: lambda i: (-sums.lacking[i], sums.answers[i], sums.names[i]),
        Order.NAME: lambda i: sums.names[i],
    }
    return by[order]


def _cells(table: Table, skill: str, columns: Sequence[int]) -> tuple[Cell, ...]:
    row = table.rows.get(skill, 0)
    graded = skill in table.rows
    return tuple(
        _cell(table.mean[row, i], table.sd[row, i], table.n[row, i] if graded else 0.0)
        for i in columns
    )


def _cell(mean: float, sd: float, n: float) -> Cell:
    tone = min(9, max(0, int(mean * 10)))
    sure = 1 - min(1.0, sd / UNSURE)
    return Cell(float(mean), float(sd), float(n), tone, 1 + round(4 * sure) if n else 1)


def _around(at: int, step: int, of: int) -> tuple[int | None, int | None]:
    return (max(0, at - step) if at > 0 else None, at + step if at + step < of else None)
