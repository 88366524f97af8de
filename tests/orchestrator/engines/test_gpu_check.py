"""The GPU check against the imitation: it passes what is well, and finds what is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coterie.errors import EngineUnavailable
from orchestrator.engines.accelerator import find_gpu, runs_on_gpu
from orchestrator.engines.gpu_check import Check, Finding, Outcome
from orchestrator.engines.gpu_report import Report
from orchestrator.engines.node import open_node
from orchestrator.scheduling.residency import Tier
from orchestrator.settings import Settings
from tests.imitation.start import write_interpreter


def _adapter(folder: Path) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8}))
    return str(folder)


def _settings(tmp_path: Path, **environ: str) -> Settings:
    interpreter = write_interpreter(tmp_path)
    given = {"COTERIE_HOME": str(tmp_path), "COTERIE_VLLM_PYTHON": str(interpreter)}
    return Settings.load({"PATH": os.environ["PATH"], "COTERIE_GPU": "1", **given, **environ})


async def _findings(tmp_path: Path, **engine_args: Any) -> dict[str, Finding]:
    async with open_node(_settings(tmp_path)) as node:
        adapter = _adapter(tmp_path / "adapter")
        found = await Check(node, "org/model", tmp_path, adapter, dict(engine_args)).run()
    return {finding.name: finding for finding in found}


async def test_a_machine_that_does_as_vllm_says_passes(tmp_path: Path) -> None:
    found = await _findings(tmp_path)
    assert {name: f.outcome for name, f in found.items()} == {
        "cold start": Outcome.PASSED,
        "sleep and wake, level 1": Outcome.PASSED,
        "sleep and wake, level 2": Outcome.PASSED,
        "a sleep waits for running answers": Outcome.PASSED,
        "adapters at run time": Outcome.PASSED,
        "an adapter after level 2": Outcome.PASSED,
        "fusion": Outcome.PASSED,
    }, found
    assert "steps traced, by aggregator.fusion.vllm_v" in found["fusion"].detail


async def test_an_engine_that_cannot_sleep_fails(tmp_path: Path) -> None:
    found = await _findings(tmp_path, enable_sleep_mode=False)
    assert found["cold start"].outcome is Outcome.PASSED
    assert found["sleep and wake, level 1"].outcome is Outcome.FAILED
    assert "not asleep" in found["sleep and wake, level 1"].detail


async def test_an_engine_that_does_not_start_ends_it(tmp_path: Path) -> None:
    found = await _findings(tmp_path, imitate_platform="cpu")
    assert found["cold start"].outcome is Outcome.FAILED
    assert "Sleep mode is not supported" in found["cold start"].detail
    assert len(found) == 1


async def test_the_settings_slots_bind_a_node(tmp_path: Path) -> None:
    async with open_node(_settings(tmp_path, COTERIE_ENGINE_SLOTS="1")) as node:
        first = Check(node, "org/model", tmp_path)
        await node.sync([first._base()])
        assert node.slots == 1
        await node.move("gpu-check", Tier.AWAKE)
        with pytest.raises(EngineUnavailable):
            node.engine("nobody")


def test_a_report_is_written_for_machines_and_for_people() -> None:
    findings = [
        Finding("cold start", Outcome.PASSED, "it | answers", 1.5),
        Finding("fusion", Outcome.SKIPPED, "not built yet"),
    ]
    report = Report("2026-11-24", "org/model", ("H100",), ("vllm 0.33",), findings)
    assert report.ok
    assert json.loads(report.as_json())["findings"][0]["outcome"] == "passed"
    assert "| cold start | passed | 1.50 | it \\| answers |" in report.as_markdown()
    failed = Report("", "m", (), (), [Finding("x", Outcome.FAILED, "y")])
    assert not failed.ok


def test_a_gpu_is_found_by_its_device_file(tmp_path: Path) -> None:
    assert find_gpu(tmp_path) is None
    (tmp_path / "nvidia0").touch()
    assert find_gpu(tmp_path) == str(tmp_path / "nvidia0")
    assert not runs_on_gpu("/no/such/python", tmp_path / "nowhere")


@pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")
def test_without_a_gpu_the_command_says_so_and_exits_with_2(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "gpu-check", "--out", str(tmp_path / "r.md")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COTERIE_HOME": str(tmp_path)},
    )
    assert found.returncode == 2
    assert "no GPU" in found.stderr
    assert not (tmp_path / "r.md").exists()
