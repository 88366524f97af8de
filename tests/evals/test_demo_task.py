"""The demo benchmark: its splits, its order, and a grader that takes any text."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from coterie.ports import Task
from coterie.types import JSON, Item, Question
from evals.tasks.demo import GENERAL, MAKERS, SIZES, DemoTask
from evals.tasks.demo_grading import grade

TASK: Task = DemoTask()
ITEMS = (*TASK.items("val"), *TASK.items("test"))
CATEGORIES = (*MAKERS, GENERAL)

SQL_TARGET: Mapping[str, JSON] = {
    "kind": "sql",
    "table": "cars",
    "columns": ["brand", "mileage"],
    "rows": [["a", 3], ["b", 9], ["c", 5]],
    "query": "SELECT brand FROM cars WHERE mileage > 4",
}


def test_splits_have_the_promised_sizes_and_categories() -> None:
    for split, size in SIZES.items():
        counts = Counter(item.category for item in TASK.items(split))
        assert set(counts) == set(CATEGORIES)
        assert all(counts[category] == size for category in MAKERS)
        assert counts[GENERAL] == size


def test_no_question_is_asked_twice_in_a_split_or_across_splits() -> None:
    texts = [item.question.text for item in ITEMS]
    assert len(set(texts)) == len(texts)
    assert len({item.id for item in ITEMS}) == len(ITEMS)


@pytest.mark.parametrize("split", ["val", "test"])
def test_every_prefix_is_balanced_and_the_same_each_time(split: str) -> None:
    for limit in (1, 7, 20, 100):
        items = TASK.items(split, limit)
        assert list(items) == list(DemoTask().items(split))[:limit]
        counts = Counter(item.category for item in items)
        assert max(counts.values()) - min(counts[c] for c in CATEGORIES) <= 1


def test_an_unknown_split_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'val', 'test'"):
        TASK.items("train")


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
def test_the_right_answer_is_graded_right_and_an_empty_one_wrong(item: Item) -> None:
    assert TASK.grade(item, _solution(item)).correct
    empty = TASK.grade(item, "")
    assert not empty.correct
    assert empty.extracted is None


@settings(max_examples=300, deadline=None)
@given(index=st.integers(0, len(ITEMS) - 1), text=st.text(max_size=400))
def test_no_text_makes_the_grader_raise(index: int, text: str) -> None:
    for output in (text, f"SELECT {text}", f"{{{text}}}", f"= {text}", _solution(ITEMS[index])):
        assert isinstance(TASK.grade(ITEMS[index], output + text).correct, bool)


@pytest.mark.parametrize(
    "output",
    [
        "[" * 4000,
        "{" * 4000,
        '{"a":' * 800,
        "9" * 4000,
        "1," * 2000,
        "\ud800",
        "SELECT \x00",
        " " * 4000,
        '{"a": ' + "9" * 5000 + "}",
        "SELECT " + "(" * 900,
        "12:3" * 900,
        "999 hours and " * 300,
    ],
)
def test_hostile_texts_are_wrong_and_fast(output: str) -> None:
    started = time.monotonic()
    for item in TASK.items("val", 49):
        assert not TASK.grade(item, output).correct
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "query",
    [
        "SELECT brand FROM cars WHERE mileage > 4;",
        "```sql\nselect brand from cars where mileage >= 5\n```",
        "Here it is: SELECT brand FROM cars WHERE mileage > 4 ORDER BY mileage; it works.",
    ],
)
def test_queries_with_the_same_rows_are_right_and_vote_together(query: str) -> None:
    graded = grade(SQL_TARGET, query)
    assert graded.correct
    assert graded.extracted == '[["b"], ["c"]]'


@pytest.mark.parametrize(
    "query",
    [
        "SELECT mileage FROM cars WHERE mileage > 4",
        "SELECT brand FROM cars",
        "DELETE FROM cars",
        "SELECT load_extension('x')",
        "SELECT randomblob(1000000000)",
        "SELECT sql FROM sqlite_master; DROP TABLE cars",
        f"SELECT 1 FROM cars a, {', '.join(f'cars t{i}' for i in range(30))} WHERE t29.brand = 'z'",
        "PRAGMA user_version = 3",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x",
    ],
)
def test_other_queries_are_wrong_and_bounded(query: str) -> None:
    started = time.monotonic()
    assert not grade(SQL_TARGET, query).correct
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("target", "output", "extracted", "correct"),
    [
        ({"kind": "number", "value": 85, "units": []}, "47 + 38 = 77 + 8 = 85", "85", True),
        ({"kind": "number", "value": 85, "units": []}, "The sum is 85.0.", "85", True),
        ({"kind": "number", "value": 85, "units": []}, "85 - 1", "1", False),
        ({"kind": "number", "value": 1500, "units": []}, "That is 1,500.", "1500", True),
        ({"kind": "number", "value": 84, "units": ["inches"]}, "84 inches in 7 feet", "84", True),
        ({"kind": "weekday", "value": "Friday"}, "Tuesday + 3 days = friday", "Friday", True),
        ({"kind": "date", "value": "March 17"}, "It is the 17th of March.", "03-17", True),
        ({"kind": "date", "value": "March 17"}, "Mar. 18", "03-18", False),
        ({"kind": "time", "value": "17:45", "form": "12"}, "17:45 = 5:45 PM", "5:45 PM", True),
        ({"kind": "time", "value": "17:45", "form": "12"}, "17:45", "17:45", False),
        ({"kind": "time", "value": "17:45", "form": "24"}, "5:45 PM = 17:45", "17:45", True),
        ({"kind": "time", "value": "17:45", "form": "24"}, "5:45 p.m.", "5:45 PM", False),
        ({"kind": "time", "value": "17:45", "form": "any"}, "at 5:45 pm", "17:45", True),
        ({"kind": "duration", "value": 90}, "1 hour and 30 minutes", "90 minutes", True),
        ({"kind": "duration", "value": 90}, "1.5 hours", "90 minutes", True),
        ({"kind": "duration", "value": 90}, "80 min", "80 minutes", False),
        ({"kind": "json", "value": {"a": 3, "b": "x"}}, 'ok {"B": "X", "a": "$3"}', None, True),
        ({"kind": "json", "value": {"a": 3}}, '{"a": 3, "b": 4}', None, False),
        ({"kind": "text", "accept": ["Paris"]}, "It is Paris.", "paris", True),
        ({"kind": "text", "accept": ["Paris"]}, "Parisian", "parisian", False),
    ],
)
def test_answers_are_read_strictly(
    target: dict[str, object], output: str, extracted: str | None, correct: bool
) -> None:
    item = Item("x", Question.of("?"), json.dumps(target), "x")
    graded = TASK.grade(item, output)
    assert graded.correct is correct
    assert extracted is None or graded.extracted == extracted


def _solution(item: Item) -> str:
    """An output that answers ``item``."""
    target = json.loads(item.target)
    match target["kind"]:
        case "sql":
            return f"{target['query']};"
        case "text":
            return f"It is {target['accept'][0]}."
        case "duration":
            return f"{target['value']} minutes"
        case "json":
            return json.dumps(target["value"])
        case "time" if target["form"] == "12":
            hour, minute = map(int, target["value"].split(":"))
            return f"{hour % 12 or 12}:{minute:02d} {'PM' if hour >= 12 else 'AM'}"
        case _:
            return f"It is {target['value']}"
