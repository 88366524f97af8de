"""The import contracts, tried with a planted breach."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("coterie", "skills", "aggregator", "evals", "orchestrator")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "planted"),
    [
        ("aggregator/vote.py", "import skills.profile"),
        ("skills/profile.py", "import evals.stats"),
        ("coterie/types.py", "import skills.profile"),
        ("orchestrator/graph.py", "import orchestrator.api.chat"),
        ("orchestrator/routing/base.py", "import orchestrator.graph"),
        ("skills/infer.py", "import fastapi"),
    ],
)
def test_a_planted_import_is_caught(copy: Path, file: str, planted: str) -> None:
    path = copy / file
    path.write_text(path.read_text() + f"\n{planted}\n")
    found = lint(copy)
    assert found.returncode == 1, found.stdout
    assert "BROKEN" in found.stdout
