"""Traces of α: one line a step, bounded, and never in an answer's way."""

from __future__ import annotations

import json
from pathlib import Path

from aggregator.fusion.trace import TraceFolder


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_line_a_step(tmp_path: Path) -> None:
    traces = TraceFolder(str(tmp_path / "new"))
    traces.begin("a", anew=True)
    traces.add("a", 0, {"law": 0.5})
    traces.add("a", 1, {"law": 1.5})
    assert lines(tmp_path / "new" / "a.jsonl") == [
        {"step": 0, "alpha": {"law": 0.5}},
        {"step": 1, "alpha": {"law": 1.5}},
    ]


def test_a_resumed_request_goes_on_and_a_new_one_begins_anew(tmp_path: Path) -> None:
    traces = TraceFolder(str(tmp_path))
    traces.begin("a", anew=True)
    traces.add("a", 0, {})
    traces.begin("a", anew=False)
    traces.add("a", 1, {})
    assert [line["step"] for line in lines(tmp_path / "a.jsonl")] == [0, 1]
    traces.begin("a", anew=True)
    assert lines(tmp_path / "a.jsonl") == []


def test_steps_and_files_are_bounded(tmp_path: Path) -> None:
    traces = TraceFolder(str(tmp_path), max_steps=2, max_files=3)
    for name in "abcde":
        traces.begin(name, anew=True)
        for step in range(5):
            traces.add(name, step, {})
    traces.add("a", 9, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "d.jsonl", "e.jsonl"]
    assert all(len(lines(path)) == 2 for path in tmp_path.iterdir())
    again = TraceFolder(str(tmp_path), max_files=2)
    again.begin("f", anew=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_links_are_not_followed_and_a_failing_disk_only_ends_the_trace(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    folder = tmp_path / "traces"
    traces = TraceFolder(str(folder))
    (folder / "a.jsonl").symlink_to(outside)
    traces.begin("a", anew=True)
    traces.add("a", 0, {"law": 1.0})
    assert outside.read_text() == "kept"
