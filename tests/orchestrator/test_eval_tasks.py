"""`coterie eval tasks`, and tasks where the service uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coterie.errors import ConfigurationError
from coterie.types import GradedAnswer, Usage
from evals.tasks import TASKS, load_task
from evals.tasks.options import TaskOptions
from orchestrator.cli.commands import app
from orchestrator.replay.record import record
from orchestrator.settings import Settings

files = pytest.importorskip("tests.evals.task_files", reason="needs coterie[tasks]")


def test_tasks_are_listed_with_the_sizes_of_what_is_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.gsm8k(tmp_path)
    monkeypatch.setenv("COTERIE_BENCHMARKS", str(tmp_path))
    found = json.loads(CliRunner().invoke(app, ["eval", "tasks", "--json"]).stdout)["tasks"]
    listed = {t["task"]: t for t in found}
    assert list(listed) == list(TASKS)
    assert listed["gsm8k"]["splits"] == {"val": 12, "test": 5}
    assert listed["aime"]["splits"] == {"val": None, "test": None}
    shown = CliRunner().invoke(app, ["eval", "tasks", "--folder", str(tmp_path)]).stdout
    assert "val 12, test 5" in shown
    assert "Idavidrein/gpqa" in shown


def test_the_folder_of_benchmarks_is_a_setting(tmp_path: Path) -> None:
    assert Settings.load({"COTERIE_BENCHMARKS": str(tmp_path)}).benchmarks == tmp_path
    assert Settings.load({}).benchmarks is None


def test_no_recording_is_made_of_secret_questions(tmp_path: Path) -> None:
    files.gpqa(tmp_path)
    task = load_task("gpqa-main", TaskOptions(folder=tmp_path))
    item = task.items("val", 1)[0]
    answer = GradedAnswer("ann", task.name, item.id, (), "", "A", True, Usage(), 0.1)
    with pytest.raises(ConfigurationError, match="must not be written down"):
        record(tmp_path / "new", task, [answer], [])
    assert not (tmp_path / "new").exists()
