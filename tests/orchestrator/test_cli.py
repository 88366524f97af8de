"""The command line, against a running server."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli import foreign_packages


async def test_route_explains_without_asking(coterie: Any, service: Any) -> None:
    shown = await coterie("route", "How many?")
    assert shown.exit_code == 0, shown.output
    assert "good" in shown.output
    assert "0.95" in shown.output
    record = json.loads((await coterie("route", "How many?", "--json")).output)
    assert record["chosen"] == ["good"]
    assert service.fleet.engines["good"].asked == []


async def test_chat_streams_the_answer_and_says_who(coterie: Any) -> None:
    shown = await coterie("chat", "How many?")
    assert "forty two it is" in shown.output
    assert "good" in shown.output


async def test_a_conversation_keeps_its_history(coterie: Any, service: Any) -> None:
    shown = await coterie("chat", stdin="first\nsecond\n")
    assert shown.exit_code == 0, shown.output
    roles = [m.role for m in service.fleet.engines["good"].asked[1].messages]
    assert roles == ["user", "assistant", "user"]


async def test_experts_are_listed_added_switched_and_removed(
    coterie: Any, service: Any, kit: Any, tmp_path: Path
) -> None:
    service.fleet.engines["new"] = kit.engine("new")
    added = await coterie(
        *("experts", "add", "--name", "new", "--model", "m", "--endpoint", "http://127.0.0.1:9"),
        *("--capability", "tools", "--capability", "images"),
    )
    assert added.exit_code == 0, added.output
    listed = json.loads((await coterie("experts", "list", "--json")).output)
    known = {e["name"]: e["capabilities"] for e in listed["experts"]}
    assert known == {"good": None, "bad": None, "new": ["tools", "images"]}
    assert "managed" in (await coterie("experts", "list")).output
    assert "ok in" in (await coterie("experts", "test", "new")).output
    assert (await coterie("experts", "disable", "new")).exit_code == 0
    assert "disabled" in (await coterie("experts", "list")).output
    assert (await coterie("experts", "enable", "new")).exit_code == 0
    assert (await coterie("experts", "remove", "new")).exit_code == 0
    file = tmp_path / "entry.yaml"
    file.write_text(
        yaml.safe_dump(
            {"name": "f", "kind": "openai", "model": "f", "endpoint": "http://127.0.0.1:9"}
        )
    )
    assert (await coterie("experts", "add", "--file", str(file))).exit_code == 0


async def test_an_error_of_the_server_is_told(coterie: Any) -> None:
    failed = await coterie("experts", "enable", "nobody")
    assert failed.exit_code != 0
    assert "nobody" in str(failed.exception)


def coterie_process(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environ},
    )


def test_without_a_server_the_next_step_is_told(tmp_path: Path) -> None:
    found = coterie_process("experts", "list", COTERIE_HOME=str(tmp_path), COTERIE_PORT="9")
    assert found.returncode == 1
    assert "coterie serve" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_database_that_is_behind_stops_serve(tmp_path: Path) -> None:
    coterie_process("db", "upgrade", COTERIE_HOME=str(tmp_path))
    with closing(sqlite3.connect(tmp_path / "coterie.sqlite")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")
    found = coterie_process("serve", COTERIE_HOME=str(tmp_path))
    assert found.returncode == 1
    assert "coterie db upgrade" in found.stderr


def test_db_upgrade_makes_the_database(tmp_path: Path) -> None:
    found = coterie_process("db", "upgrade", COTERIE_HOME=str(tmp_path))
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "coterie.sqlite").exists()


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    found = coterie_process("status", COTERIE_HOME=str(tmp_path), COTERIE_PROT="1")
    assert found.returncode == 1
    assert "COTERIE_PORT" in found.stderr


def test_our_packages_are_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert foreign_packages() == {}
    (tmp_path / "skills").mkdir()
    (tmp_path / "skills" / "__init__.py").touch()
    found = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "status"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
    )
    assert found.returncode == 1
    assert "skills (from" in found.stderr
