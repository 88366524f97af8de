"""One SELECT over one table whose columns are given in the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from examples.demo_experts.sample import Sample, casual


@dataclass(frozen=True, slots=True)
class Table:
    """A table: text columns with values to ask for, and numeric columns."""

    name: str
    texts: tuple[tuple[str, tuple[str, ...]], ...]
    numbers: tuple[tuple[str, int], ...]


_CITIES = ("Paris", "Berlin", "Oslo", "Madrid", "Lima", "Cairo", "Boston")
_COLORS = ("red", "blue", "green", "black", "white")
_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Finn")

TABLES = (
    Table("employees", (("name", _NAMES), ("city", _CITIES)), (("salary", 5000), ("age", 60))),
    Table("products", (("title", ("lamp", "desk")), ("color", _COLORS)), (("price", 90),)),
    Table("students", (("name", _NAMES), ("school", ("North", "West"))), (("grade", 12),)),
    Table("orders", (("customer", _NAMES), ("status", ("open", "paid"))), (("total", 500),)),
    Table("books", (("title", ("Dune", "Emma")), ("author", _NAMES)), (("pages", 600),)),
    Table("movies", (("title", ("Alien", "Heat")), ("genre", ("drama",))), (("year", 2020),)),
    Table("hotels", (("name", ("Ritz", "Plaza")), ("city", _CITIES)), (("stars", 5),)),
    Table("flights", (("origin", _CITIES), ("airline", ("Delta",))), (("seats", 300),)),
    Table("players", (("name", _NAMES), ("team", ("Lions", "Bears"))), (("goals", 40),)),
    Table("houses", (("street", ("Main", "Oak")), ("town", _CITIES)), (("rooms", 9),)),
    Table("songs", (("title", ("Hey", "Sun")), ("artist", _NAMES)), (("length", 400),)),
    Table("pets", (("name", ("Rex", "Bella")), ("kind", ("dog", "cat"))), (("weight", 50),)),
    Table("courses", (("title", ("Math", "Art")), ("teacher", _NAMES)), (("credits", 10),)),
    Table("invoices", (("client", _NAMES), ("country", ("Italy", "Peru"))), (("amount", 900),)),
    Table("trains", (("line", ("A1", "B2")), ("station", _CITIES)), (("delay", 60),)),
    Table("patients", (("name", _NAMES), ("ward", ("east", "south"))), (("age", 90),)),
)

_SCHEMAS = (
    "Table {table}({columns}).",
    "Given the table {table}({columns}),",
    "Schema: {table}({columns})\n",
    "I have a table {table} with columns {columns}.",
    "Table: {table}\nColumns: {columns}\n",
    "{table}({columns})\n",
)
_ASK = ("{question}", "Write SQL: {question}", "{question} Answer in SQL.", "SQL query: {question}")

# Each entry: ways to ask, and the query.
_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Show all {table}.", "List everything in {table}.", "Get every row of {table}."),
        "SELECT * FROM {table};",
    ),
    (
        ("Show the {c} of all {table}.", "List every {c}.", "What {c} values are there?"),
        "SELECT {c} FROM {table};",
    ),
    (
        ("How many {table} are there?", "Count the {table}.", "Number of {table}?"),
        "SELECT COUNT(*) FROM {table};",
    ),
    (
        (
            "How many {table} have {t} '{v}'?",
            "Count the {table} whose {t} is {v}.",
            "Number of {table} where {t} is {v}?",
        ),
        "SELECT COUNT(*) FROM {table} WHERE {t} = '{v}';",
    ),
    (
        (
            "How many {table} have {n} above {x}?",
            "Count the {table} with {n} greater than {x}.",
            "Count the {table} with more than {x} {n}.",
        ),
        "SELECT COUNT(*) FROM {table} WHERE {n} > {x};",
    ),
    (
        (
            "Show the {c} of {table} with {t} {v}.",
            "Which {c} belongs to {table} whose {t} is '{v}'?",
            "List the {c} where {t} is {v}.",
        ),
        "SELECT {c} FROM {table} WHERE {t} = '{v}';",
    ),
    (
        (
            "Show the {c} of {table} with {n} over {x}.",
            "List the {c} where {n} is greater than {x}.",
            "Which {table} have {n} more than {x}? Show {c}.",
        ),
        "SELECT {c} FROM {table} WHERE {n} > {x};",
    ),
    (
        (
            "Show the {c} of {table} with {n} under {x}.",
            "List the {c} where {n} is less than {x}.",
            "Which {table} have {n} below {x}? Show {c}.",
        ),
        "SELECT {c} FROM {table} WHERE {n} < {x};",
    ),
    (
        (
            "What is the average {n}?",
            "Compute the mean {n} of all {table}.",
            "Average {n} of the {table}?",
        ),
        "SELECT AVG({n}) FROM {table};",
    ),
    (
        ("What is the highest {n}?", "Find the maximum {n}.", "What is the largest {n}?"),
        "SELECT MAX({n}) FROM {table};",
    ),
    (
        ("What is the lowest {n}?", "Find the minimum {n}.", "What is the smallest {n}?"),
        "SELECT MIN({n}) FROM {table};",
    ),
    (
        ("What is the total {n}?", "Sum up the {n} of all {table}.", "Add up every {n}."),
        "SELECT SUM({n}) FROM {table};",
    ),
    (
        (
            "What is the average {n} of {table} with {t} {v}?",
            "Compute the mean {n} where {t} is {v}.",
        ),
        "SELECT AVG({n}) FROM {table} WHERE {t} = '{v}';",
    ),
    (
        (
            "Show the {c} of the {k} {table} with the highest {n}.",
            "Top {k} {c} by {n}?",
            "List the {k} {c} with the largest {n}.",
        ),
        "SELECT {c} FROM {table} ORDER BY {n} DESC LIMIT {k};",
    ),
    (
        (
            "Show the {c} of the {k} {table} with the lowest {n}.",
            "List the {k} {c} with the smallest {n}.",
        ),
        "SELECT {c} FROM {table} ORDER BY {n} LIMIT {k};",
    ),
    (
        (
            "List the {c} of all {table} sorted by {n}.",
            "Show every {c} ordered by {n}, smallest first.",
        ),
        "SELECT {c} FROM {table} ORDER BY {n};",
    ),
    (
        (
            "List the {c} sorted by {n}, highest first.",
            "Show every {c} ordered by {n} descending.",
        ),
        "SELECT {c} FROM {table} ORDER BY {n} DESC;",
    ),
)


def sample(rng: Random) -> Sample:
    """One question over one table and the query that answers it."""
    table = rng.choice(TABLES)
    asks, query = rng.choice(_SHAPES)
    number, most = rng.choice(table.numbers)
    text, values = rng.choice(table.texts)
    named = [name for name, _ in table.texts if name != text]
    slots = {
        "table": table.name,
        "c": rng.choice(named),
        "t": text,
        "v": rng.choice(values),
        "n": number,
        "x": rng.randint(1, most),
        "k": rng.randint(2, 9),
    }
    columns = [name for name, _ in (*table.texts, *table.numbers)]
    columns += ["id"] if rng.random() < 0.4 else []
    rng.shuffle(columns)
    schema = rng.choice(_SCHEMAS).format(table=table.name, columns=", ".join(columns))
    question = casual(rng, rng.choice(asks).format(**slots))
    prompt = f"{schema} {rng.choice(_ASK).format(question=question)}".replace("\n ", "\n")
    return Sample(prompt, query.format(**slots))
