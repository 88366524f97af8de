"""Benchmark questions of SQL, and the sandbox that runs what a model wrote.

A model's text is never trusted: one SELECT, on a database in memory that holds nothing but the
question's table, with an authorizer that allows reading it and a handful of functions, and with a
bound on steps and rows.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from coterie.types import JSON
from evals.tasks.demo_draft import Draft

Row: TypeAlias = tuple[str | float | None, ...]

MAX_STEPS = 200_000
MAX_ROWS = 200
MAX_QUERY_CHARS = 1000
_STEPS_BETWEEN_CHECKS = 1000
_FUNCTIONS = frozenset(
    {"count", "avg", "min", "max", "sum", "total", "abs", "round", "lower", "upper", "length"}
)
_STATEMENT = re.compile(rf"\bselect\b[^;`]{{1,{MAX_QUERY_CHARS}}}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: a column that tells rows apart, one to filter by, and a numeric one."""

    name: str
    label: str
    text: str
    values: tuple[str, ...]
    number: str
    most: int


TABLES = (
    Table("cars", "brand", "fuel", ("diesel", "petrol", "electric"), "mileage", 900),
    Table("recipes", "dish", "cuisine", ("Thai", "Greek", "Indian"), "minutes", 120),
    Table("customers", "name", "country", ("Spain", "Japan", "Chile"), "balance", 800),
    Table("museums", "museum", "city", ("Vienna", "Dublin", "Seoul"), "visitors", 950),
    Table("phones", "model", "maker", ("Nokia", "Sony", "Apple"), "battery", 700),
    Table("rivers", "river", "continent", ("Asia", "Africa", "Europe"), "depth", 300),
    Table("teachers", "name", "subject", ("biology", "music", "history"), "experience", 90),
    Table("games", "title", "publisher", ("Sega", "Atari", "Valve"), "score", 100),
)
SCHEMAS = (
    "Database table: {table}({columns})\nQuestion: {question}\nSQL:",
    "There is one table, {table}, with the columns {columns}. {question}",
    "Using SQL on {table}({columns}): {question}",
)
SHAPES: tuple[tuple[str, str], ...] = (
    (
        "Return the {c} of those {table} in which {t} equals '{v}'.",
        "SELECT {c} FROM {table} WHERE {t} = '{v}'",
    ),
    ("How many rows are in {table}?", "SELECT COUNT(*) FROM {table}"),
    (
        "Find the {c} for {table} whose {n} exceeds {x}.",
        "SELECT {c} FROM {table} WHERE {n} > {x}",
    ),
    ("What's the mean {n} across {table}?", "SELECT AVG({n}) FROM {table}"),
    (
        "Give the {c} of the {k} rows with the greatest {n}.",
        "SELECT {c} FROM {table} ORDER BY {n} DESC LIMIT {k}",
    ),
    (
        "How many rows of {table} have the {t} '{v}'?",
        "SELECT COUNT(*) FROM {table} WHERE {t} = '{v}'",
    ),
    ("What is the biggest {n} in {table}?", "SELECT MAX({n}) FROM {table}"),
    (
        "How many {table} have {n} of less than {x}?",
        "SELECT COUNT(*) FROM {table} WHERE {n} < {x}",
    ),
    (
        "Order the {c} values by {n}, from big to small.",
        "SELECT {c} FROM {table} ORDER BY {n} DESC",
    ),
    ("What do all {n} values of {table} sum to?", "SELECT SUM({n}) FROM {table}"),
)


def sql(rng: Random, index: int) -> Draft:
    """A question over one table, graded by the rows a query returns."""
    table = rng.choice(TABLES)
    question, query = SHAPES[index % len(SHAPES)]
    slots = {
        "table": table.name,
        "c": table.label,
        "t": table.text,
        "v": rng.choice(table.values),
        "n": table.number,
        "x": rng.randint(table.most // 4, 3 * table.most // 4),
        "k": rng.randint(2, 6),
    }
    columns = [table.label, table.text, table.number]
    rng.shuffle(columns)
    slots |= {"columns": ", ".join(columns), "question": question.format(**slots)}
    target = {
        "kind": "sql",
        "table": table.name,
        "columns": columns,
        "rows": [[row[name] for name in columns] for row in _rows(rng, table)],
        "query": query.format(**slots),
    }
    return Draft(rng.choice(SCHEMAS).format(**slots), target)


def statement(output: str) -> str | None:
    """The first SELECT in a model's output, up to its semicolon or the end of a code block."""
    found = _STATEMENT.search(output)
    return found.group().strip() if found else None


def answer(target: Mapping[str, JSON], query: str) -> list[Row] | None:
    """The rows ``query`` returns over the target's table; None where it may not or cannot run.

    Rows come in the query's order if the reference query orders them, else sorted.
    """
    rows = _run(target, query)
    if rows is None:
        return None
    rounded = [tuple(_plain(value) for value in row) for row in rows]
    ordered = "ORDER BY" in str(target["query"])
    return rounded if ordered else sorted(rounded, key=repr)


def canonical(rows: Sequence[Row]) -> str:
    """Rows as text that is the same for the same answer."""
    return json.dumps([list(row) for row in rows], ensure_ascii=False)


def _rows(rng: Random, table: Table) -> list[dict[str, str | int]]:
    """Twelve rows whose numbers all differ, so that every order is a single one."""
    numbers = rng.sample(range(1, table.most), 12)
    return [
        {
            table.label: f"{table.label}-{chr(65 + index)}",
            table.text: table.values[index % len(table.values)] if index < 9 else table.values[0],
            table.number: numbers[index],
        }
        for index in range(12)
    ]


def _run(target: Mapping[str, JSON], query: str) -> list[tuple[object, ...]] | None:
    database = sqlite3.connect(":memory:")
    try:
        _fill(database, target)
        steps = iter(range(MAX_STEPS // _STEPS_BETWEEN_CHECKS))
        database.set_authorizer(_authorise)
        database.set_progress_handler(lambda: next(steps, None) is None, _STEPS_BETWEEN_CHECKS)
        return database.execute(query).fetchmany(MAX_ROWS)
    # ValueError: a NUL or a lone surrogate in the text, which sqlite3 refuses to take.
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError):
        return None
    finally:
        database.close()


def _fill(database: sqlite3.Connection, target: Mapping[str, JSON]) -> None:
    """Creates the target's table; its names are the benchmark's own, never a model's."""
    columns, rows = target["columns"], target["rows"]
    assert isinstance(columns, list)
    assert isinstance(rows, list)
    database.execute(f"CREATE TABLE {target['table']} ({', '.join(map(str, columns))})")
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT INTO {target['table']} VALUES ({marks})"  # noqa: S608
    database.executemany(insert, rows)


def _authorise(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ) or (
        action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _plain(value: object) -> str | float | None:
    if isinstance(value, (int, float)):
        return round(float(value), 6)
    return value if value is None or isinstance(value, str) else repr(value)
