"""One's own questions, from files whose columns are called as one likes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coterie.errors import ConfigurationError
from evals.tasks import load_task
from evals.tasks.options import Columns, Kind, TaskOptions


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"file:{path}"


@pytest.mark.parametrize("answer", ["B", "(b)", 1, "green"])
def test_a_right_option_is_given_by_letter_place_or_text(tmp_path: Path, answer: object) -> None:
    row = {"question": "Grass?", "options": ["red", "green"], "answer": answer, "id": "grass"}
    task = load_task(lines(tmp_path / "colours.jsonl", row))
    (item,) = [*task.items("all")]
    assert (task.name, item.id, item.target) == ("colours", "colours/grass", "B")
    assert item.about == "Grass?\n\nA. red\nB. green"
    assert task.grade(item, "The answer is (B).").correct


def test_columns_are_named_in_the_tasks_name(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("Problem,Right,o1,o2,Topic\nGrass?,B,red,green,x\nSky?,A,blue,red,y\n")
    name = f"file:{path}?question=Problem&answer=Right&options=o1,o2&category=Topic&name=mine"
    items = load_task(name).items("all")
    assert {(i.target, i.category, i.choices) for i in items} == {
        ("B", "x", ("red", "green")),
        ("A", "y", ("blue", "red")),
    }
    assert {i.id.partition("/")[0] for i in items} == {"mine"}


def test_columns_may_be_given_as_options(tmp_path: Path) -> None:
    name = lines(tmp_path / "q.jsonl", {"q": "1 + 1?", "a": 2})
    options = TaskOptions(columns=Columns(question="q", answer="a"), kind=Kind.EXACT)
    (item,) = load_task(name, options).items("all")
    assert item.target == "2"


def test_numbers_and_words_are_told_apart_by_the_answers(tmp_path: Path) -> None:
    numbers = load_task(lines(tmp_path / "n.jsonl", {"question": "6 * 7?", "answer": "42.0"}))
    words = load_task(
        lines(tmp_path / "w.jsonl", {"question": "Whose?", "answer": ["The Fox", "a fox"]})
    )
    assert numbers.grade(numbers.items("all")[0], "#### 42").correct
    assert words.grade(words.items("all")[0], "The answer is the fox.").correct
    assert not words.grade(words.items("all")[0], "The answer is the hare.").correct


def test_splits_are_the_files_own_where_it_names_them(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": n, "split": "dev" if n else "final"} for n in range(3)]
    task = load_task(lines(tmp_path / "q.jsonl", *rows))
    assert {split: len(task.items(split)) for split in ("dev", "final")} == {"dev": 2, "final": 1}
    with pytest.raises(ConfigurationError, match="'dev', 'final'"):
        task.items("val")


def test_a_division_depends_on_no_other_question(tmp_path: Path) -> None:
    rows = [{"question": f"{n} + 1?", "answer": n + 1, "group": f"g{n // 2}"} for n in range(60)]
    whole = load_task(lines(tmp_path / "q.jsonl", *rows))
    half = load_task(lines(tmp_path / "half.jsonl", *rows[:30]) + "?name=q")
    assert {i.id for i in half.items("val")} <= {i.id for i in whole.items("val")}
    assert not {i.group for i in whole.items("val")} & {i.group for i in whole.items("test")}
    assert len(whole.items("val")) + len(whole.items("test")) == 60


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"question": "Grass?"}, "no column 'answer'; it has question"),
        ({"question": "", "answer": 1}, "row 1: the question is empty"),
        ({"question": "q", "options": ["a"], "answer": "A"}, "2 to 26 options"),
        ({"question": "q", "options": ["a", "b"], "answer": "C"}, "an option's letter"),
        ({"question": "q", "options": ["a", "b"], "answer": True}, "an option's letter"),
        ({"question": "q", "answer": None}, "the answer must be"),
    ],
)
def test_a_row_that_makes_no_question_is_refused(
    tmp_path: Path, row: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load_task(lines(tmp_path / "q.jsonl", row))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("answr=a", "no option 'answr'"),
        ("kind=prose", "choice, number, exact"),
        ("shots=-1", "whole numbers"),
        ("answer=Right", "no column 'Right'"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, query: str, told: str) -> None:
    name = lines(tmp_path / "q.jsonl", {"question": "1?", "answer": 1})
    with pytest.raises(ConfigurationError, match=told):
        load_task(f"{name}?{query}")


def test_a_file_does_not_take_the_name_of_a_task_that_is_there(tmp_path: Path) -> None:
    name = lines(tmp_path / "gsm8k.jsonl", {"question": "1?", "answer": 1})
    with pytest.raises(ConfigurationError, match=r"\?name=NAME"):
        load_task(name)


def test_two_questions_of_one_id_are_refused(tmp_path: Path) -> None:
    row = {"question": "1?", "answer": 1, "id": "x"}
    with pytest.raises(ConfigurationError, match="two questions of one id"):
        load_task(lines(tmp_path / "q.jsonl", row, row))


@pytest.mark.parametrize("name", ["q.txt", "q.jsonl"])
def test_what_is_no_file_of_questions_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "q.txt").write_text("hello")
    with pytest.raises(ConfigurationError):
        load_task(f"file:{tmp_path / name}")
