from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coterie.errors import ConfigurationError
from orchestrator.cli.commands import app
from orchestrator.scheduling.comparison import compare
from orchestrator.scheduling.description import read_scenario

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "scheduling"
SMALL = """
name: two experts
assumptions: [made up]
gpus: {count: 1, memory_gb: 40, host_gb: 64}
defaults: {gpu_gb: 30, load_s: 10, asleep_gb: 15}
engines: [{name: a}, {name: b, adapters: [b-law]}]
batch: {questions: 20, k: 2}
online: [{expert: b-law, count: 3, every_s: 10, bound_s: 20}]
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_it_prints_the_planner_beside_its_rivals(small: Path) -> None:
    shown = CliRunner().invoke(app, ["plan", "--simulate", str(small), "--steps"])
    assert shown.exit_code == 0, shown.output
    for word in ("coterie", "first", "one at", "lower", "made up", "awake"):
        assert word in shown.output


def test_json_holds_every_step(small: Path) -> None:
    shown = CliRunner().invoke(app, ["plan", "--simulate", str(small), "--json"])
    record = json.loads(shown.output)
    assert record["assumptions"] == ["made up"]
    assert {step["step"] for step in record["plan"]} == {"run", "move"}
    assert sum(s["units"] for s in record["plan"] if s["step"] == "run") == record["requests"]
    assert all(row["makespan_s"] >= record["lower_bound_s"] for row in record["rows"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("name: x", "'gpus'"),
        (SMALL.replace("load_s: 10", "load_s: -1"), "defaults.load_s"),
        (SMALL.replace("gpu_gb: 30", "gpu_gb: 90"), "takes 90 GB"),
        (SMALL.replace("expert: b-law", "expert: c"), "'c'"),
        ("a: [", "cannot read"),
    ],
)
def test_a_wrong_file_is_refused_with_its_reason(tmp_path: Path, wrong: str, said: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(wrong)
    with pytest.raises(ConfigurationError, match=said):
        read_scenario(path)


@pytest.mark.parametrize("gpus", ["one_gpu", "four_gpus"])
def test_sixteen_experts_are_loaded_once_each(gpus: str) -> None:
    scenario = read_scenario(EXAMPLES / f"sixteen_experts_{gpus}.yaml")
    found = compare(scenario)
    rows = {row.name: row for row in found.rows}
    assert rows["coterie"].loads == 16
    assert found.plan.makespan_s <= 1.5 * found.bound_s
    assert rows["first in, first out"].factor > 10
