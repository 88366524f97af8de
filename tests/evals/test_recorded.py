"""Recordings are written, and read as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs coterie[replay]")

import pyarrow.parquet as pq  # noqa: E402

from coterie.errors import ConfigurationError  # noqa: E402
from coterie.types import Reading  # noqa: E402
from evals.record import RecordedAnswer, RecordedQuestion, write_recording  # noqa: E402
from evals.recorded import EMPTY, LONGEST_ANSWER, load_recording  # noqa: E402

QUESTIONS = (
    RecordedQuestion("q1", "One or two?", "A", "val", "numbers", ("one", "two"), "g", 3),
    RecordedQuestion("q2", "How many?", "42", "test"),
)
ANSWERS = (
    RecordedAnswer("q1", "bob", "A", True, Reading.NAMED, 10, 20, 0.5, "It is A."),
    RecordedAnswer("q1", "ann", None, False, Reading.NOTHING),
    RecordedAnswer("q2", "ann", "42", True),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "recorded"
    write_recording(
        path,
        benchmark="two_questions",
        questions=QUESTIONS,
        answers=ANSWERS,
        parameters={"bob": (46.7, 12.9)},
    )
    return path


def test_what_was_written_is_read(folder: Path) -> None:
    found = load_recording(folder, benchmark="two-questions")
    assert found.benchmark == "two_questions"
    assert found.experts == ("ann", "bob")
    assert found.items == ("q1", "q2")
    assert found.texts == ("One or two?", "How many?")
    assert found.choices == (("one", "two"), ())
    assert found.targets == ("A", "42")
    assert found.categories == ("numbers", "")
    assert found.groups == ("g", "q2")
    assert found.splits.tolist() == ["val", "test"]
    assert found.folds.tolist() == [3, 0]
    assert found.answers.tolist() == [["", "A"], ["42", ""]]
    assert found.readings.tolist() == [[0, 2], [1, 0]]
    np.testing.assert_array_equal(found.correct, np.float32([[0, 1], [1, np.nan]]))
    np.testing.assert_array_equal(found.tokens, np.float32([[np.nan, 20], [np.nan, np.nan]]))
    np.testing.assert_array_equal(found.latency_s[0], np.float32([np.nan, 0.5]))
    assert found.parameters == {"ann": (None, None), "bob": (46.7, 12.9)}
    assert found.rows("test").tolist() == [1]
    assert (folder / "texts_two_questions.parquet").is_file()


def test_experts_are_picked_by_name(folder: Path) -> None:
    assert load_recording(folder, benchmark="two_questions", experts=["bob"]).experts == ("bob",)


@pytest.mark.parametrize(
    ("benchmark", "experts", "says"),
    [
        ("two_qestions", None, "did you mean 'two_questions'"),
        ("two_questions", ["bobb"], "did you mean 'bob'"),
    ],
)
def test_an_unknown_name_is_told_with_the_known(
    folder: Path, benchmark: str, experts: list[str] | None, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_recording(folder, benchmark=benchmark, experts=experts)


def test_an_unknown_split_is_told_with_the_known(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="'test', 'val'"):
        load_recording(folder, benchmark="two_questions").rows("train")


def test_a_missing_file_is_told_with_what_there_is(folder: Path) -> None:
    (folder / "responses.parquet").unlink()
    with pytest.raises(ConfigurationError, match=r"no responses.parquet.*'questions.parquet'"):
        load_recording(folder, benchmark="two_questions")


def test_what_is_no_parquet_is_told(folder: Path) -> None:
    (folder / "questions.parquet").write_text("hello")
    with pytest.raises(ConfigurationError, match="cannot be read as parquet"):
        load_recording(folder, benchmark="two_questions")


def test_a_folder_that_holds_something_is_not_written_to(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="not empty"):
        write_recording(folder, benchmark="b", questions=QUESTIONS, answers=ANSWERS)


def write_parquet(folder: Path, responses: list[dict[str, object]]) -> Path:
    """A recording with the least that the format asks for."""
    folder.mkdir()
    asked = [
        {"qid": i, "benchmark": "b", "answer": "A", "split": "test"} for i in ("q1", "q2", "q3")
    ]
    pq.write_table(pa.Table.from_pylist(asked), folder / "questions.parquet")
    pq.write_table(pa.Table.from_pylist(responses), folder / "responses.parquet")
    return folder


def test_columns_that_are_absent_are_unknown(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"qid": "q2", "model": "ann", "correct": True}]
    found = load_recording(write_parquet(tmp_path / "r", rows), benchmark="b")
    assert not found.readable
    assert found.texts == ("", "", "")
    assert found.choices == ((), (), ())
    assert found.groups == found.items
    np.testing.assert_array_equal(found.correct[:, 0], np.float32([np.nan, 1, np.nan]))
    assert np.isnan(found.tokens).all()
    assert found.parameters == {"ann": (None, None)}


def test_the_setting_with_most_answers_counts_and_of_these_the_first(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"qid": q, "model": "ann", "setting": s, "pred": p, "correct": False, "n_tok_cl100k": n}
        for q, s, p, n in (
            ("q1", "once", "C", 1),
            ("q1", "often", "A", 2),
            ("q1", "often", "B", 3),
            ("q2", "often", "D", 4),
        )
    ]
    found = load_recording(write_parquet(tmp_path / "r", rows), benchmark="b")
    assert found.answers[:, 0].tolist() == ["A", "D", ""]
    assert found.tokens[:2, 0].tolist() == [2, 4]


def test_an_empty_answer_is_one_where_it_was_read(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"qid": q, "model": "ann", "correct": True, "pred": pred, "extract_level": level}
        for q, pred, level in (("q1", "", 1), ("q2", "", 0), ("q3", "B", 7))
    ]
    found = load_recording(write_parquet(tmp_path / "r", rows), benchmark="b")
    assert found.answers[:, 0].tolist() == [EMPTY, "", "B"]
    assert found.readings[:, 0].tolist() == [1, 0, 3]


def test_long_answers_stay_apart_in_little_space(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"qid": q, "model": "ann", "correct": True, "pred": "x" * 5000 + end}
        for q, end in (("q1", "a"), ("q2", "b"), ("q3", "a"))
    ]
    answers = load_recording(write_parquet(tmp_path / "r", rows), benchmark="b").answers[:, 0]
    assert answers[0] == answers[2] != answers[1]
    assert len(answers[0]) == LONGEST_ANSWER
