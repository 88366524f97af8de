"""The documentation: built strictly, every link followed, and equal to what it is made of."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import settings_reference
from orchestrator.cli.commands import app as commands
from orchestrator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
CONFIGURATION = (DOCS / "configuration.md").read_text()


def build(project: Path) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs Zensical: pip install 'coterie[docs]'")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(
        [*command, "-f", str(project / "mkdocs.yml")],
        capture_output=True,
        text=True,
        cwd=project,
        check=False,
        timeout=120,
    )


def copied(to: Path) -> Path:
    """The project once more: what is built is put there, not into the checkout."""
    shutil.copy(ROOT / "mkdocs.yml", to)
    shutil.copytree(DOCS, to / "docs")
    return to


def test_the_site_is_built_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    built = build(copied(tmp_path))
    told = re.sub(r"\x1b\[[0-9;]*m", "", built.stdout)
    assert built.returncode == 0, f"{told}\nlink to pages in docs/ alone; name other files as text"
    made = tmp_path / "build/docs"
    for page in PAGES:
        name = page.removesuffix(".md").removesuffix("index")
        assert (made / name / "index.html").is_file(), page
    assert "COTERIE_HOME" in (made / "configuration/index.html").read_text()


@pytest.mark.parametrize("link", ["nowhere.md", "configuration.md#nothing-of-the-sort"])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Home\n\n[there]({link})\n")
    (tmp_path / "docs/configuration.md").write_text("# Configuration\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nsite_dir: build/docs\n")
    assert build(tmp_path).returncode != 0


def test_every_page_is_in_the_navigation() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        within = entry.values() if isinstance(entry, dict) else entry
        return [page for one in within for page in pages(one)]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == PAGES


def test_the_reference_is_what_the_settings_are() -> None:
    remedy = "run `python -m orchestrator.settings_reference`"
    assert settings_reference.renewed(CONFIGURATION) == CONFIGURATION, remedy


def test_every_setting_says_what_it_does() -> None:
    silent = [n for n, f in Settings.model_fields.items() if not f.description]
    assert silent == []
    names = {str(f.validation_alias) for f in Settings.model_fields.values()}
    assert settings_reference.DEFAULTS.keys() | settings_reference.PAGES.keys() <= names


def test_a_page_without_a_place_for_the_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        settings_reference.renewed("# Configuration\n")


def test_every_command_that_is_shown_exists() -> None:
    import typer.main

    root: Any = typer.main.get_command(commands)
    told = "\n".join((DOCS / page).read_text() for page in PAGES)
    shown = "\n".join(re.findall(r"^```\w*\n(.*?)^```", told, re.MULTILINE | re.DOTALL))
    found = re.findall(r"^coterie ([a-z][a-z -]*)", shown, re.MULTILINE)
    assert len(found) > 20
    for words in found:
        command = root
        for word in words.split():
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"`coterie {words}` is documented and does not exist"
            command = command.commands[word]
