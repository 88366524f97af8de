"""Report files: JSON that is read back, and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.errors import ConfigurationError
from evals.report.document import as_bytes, document, plain
from evals.report.figures import report
from evals.report.reading import read_run
from evals.report.sheets import sheets
from evals.report.writing import write_report
from evals.results import Call, ItemResult, RunInfo, RunResult

Make = Callable[..., RunResult]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
chances = st.none() | st.floats(0, 1)
calls = st.builds(
    Call,
    expert=texts,
    role=st.sampled_from(["answer", "aggregate"]),
    correct=st.none() | st.booleans(),
    extracted=st.none() | texts,
    prompt_tokens=st.integers(0, 10**6),
    cost_usd=st.floats(0, 1),
    latency_s=st.floats(0, 100),
    reused=st.booleans(),
)
items = st.builds(
    ItemResult,
    item=texts,
    category=texts,
    correct=st.booleans(),
    extracted=st.none() | texts,
    leader=st.none() | texts,
    expected=chances,
    agreement=chances,
    calls=st.lists(calls, max_size=3).map(tuple),
    error=st.none() | texts,
)
infos = st.builds(
    RunInfo,
    id=texts,
    task=texts,
    split=texts,
    strategy=texts,
    experts=st.lists(texts, max_size=3, unique=True).map(tuple),
    seed=st.integers(-5, 2**40),
    settings=st.dictionaries(texts, st.none() | st.integers() | texts | st.lists(texts)),
    versions=st.dictionaries(texts, texts, max_size=2),
    seconds=st.dictionaries(texts, st.floats(0, 1e6), max_size=2),
    loads=st.dictionaries(texts, st.integers(0, 9), max_size=2),
    started=texts,
    finished=st.none() | texts,
)
runs = st.builds(
    RunResult, infos, st.lists(items, max_size=5, unique_by=lambda i: i.item).map(tuple)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round")


@given(run=runs)
def test_whatever_a_run_holds_is_read_back(run: RunResult, folder: Path) -> None:
    (folder / "report.json").write_bytes(as_bytes(document(report(run), run)))
    assert read_run(folder) == run
    assert read_run(folder / "report.json") == run


def test_keys_stay(make_run: Make) -> None:
    run = make_run(30)
    found = json.loads(as_bytes(document(report(run), run)))
    assert list(found) == [
        "format", "info", "summary", "systems", "experts", "categories", "expected", "agreement",
        "stages", "parked", "notes", "items",
    ]  # fmt: skip
    assert found["format"] == "coterie-report/1"
    assert list(found["summary"]["accuracy"]) == ["mean", "ci95", "correct", "n"]
    assert list(found["systems"][1]["versus"]["difference"]) == ["delta", "ci95", "n"]
    assert list(found["systems"][1]["versus"]["mcnemar"]) == ["only_a", "only_b", "p"]


def test_what_json_has_no_number_for_is_null() -> None:
    assert plain([float("nan"), float("inf"), 1.5]) == [None, None, 1.5]


def test_half_a_surrogate_pair_is_written_as_a_question_mark() -> None:
    assert json.loads(as_bytes({"a": "x\ud800y"})) == {"a": "x?y"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not json", "is not JSON"),
        ("[1]", "its format is None"),
        ('{"format": "coterie-report/9"}', "its format is 'coterie-report/9'"),
        ('{"format": "coterie-report/1", "items": []}', "not a whole report: info"),
        pytest.param("[" * 100_000, "is not JSON", id="deep"),
    ],
)
def test_what_is_no_report_is_refused_in_words(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        read_run(tmp_path)


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no run in"):
        read_run(tmp_path)


def read(sheet: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sheet.decode(), newline="")))


def test_sheets_hold_every_item_expert_and_category(make_run: Make) -> None:
    run = make_run(30)
    found = {name: read(sheet) for name, sheet in sheets(report(run), run).items()}
    assert {name: len(rows) for name, rows in found.items()} == {
        "items.csv": 30, "experts.csv": 3, "categories.csv": 3
    }  # fmt: skip
    assert sum(row["correct"] == "True" for row in found["items.csv"]) == sum(
        item.correct for item in run.items
    )
    assert found["items.csv"][0]["asked"] == "ann bob cem"


def test_a_spreadsheet_is_given_no_formula() -> None:
    nasty = '=HYPERLINK("http://example.org","x")'
    run = RunResult(
        RunInfo("r", "t", "test", "s", (nasty,)),
        (
            ItemResult('a,\n"b"', "+cmd", True, "-3.5", calls=(Call(nasty, correct=True),)),
            ItemResult("b", "@x", False, "-x", error="\tboom"),
        ),
    )
    found = sheets(report(run), run)
    rows = read(found["items.csv"])
    assert (rows[0]["item"], rows[0]["category"]) == ('a,\n"b"', "'+cmd")
    assert (rows[0]["extracted"], rows[1]["extracted"]) == ("-3.5", "'-x")
    assert rows[1]["error"] == "'\tboom"
    assert read(found["experts.csv"])[0]["expert"] == f"'{nasty}"


def test_files_are_replaced_and_nothing_else_is_left(tmp_path: Path, make_run: Make) -> None:
    run = make_run(20)
    write_report(run, tmp_path / "new" / "folder")
    write_report(dataclasses.replace(run, items=run.items[:5]), tmp_path / "new" / "folder")
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"report.json", "report.html", "items.csv", "experts.csv", "categories.csv"}
    assert len(read_run(tmp_path / "new" / "folder").items) == 5


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, make_run: Make) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write a report into"):
        write_report(make_run(5), tmp_path / "file")
