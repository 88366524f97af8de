"""docker-compose.yml and Dockerfile, as far as they can be looked at without a Docker engine."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from jsonschema import Draft201909Validator

from orchestrator.experts_file import load_experts
from orchestrator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
each_service = pytest.mark.parametrize("name", SERVICES)


def filled(text: str) -> str:
    """``text`` with its variables set, or at their defaults."""
    given = {"COTERIE_SEAL_KEY": Fernet.generate_key().decode()}
    return re.sub(
        r"\$\{(\w+)(?::([-?])([^}]*))?\}",
        lambda m: m[3] if m[2] == "-" else given.get(m[1], "a-made-up-secret"),
        text,
    )


def test_it_is_what_the_specification_allows() -> None:
    # The specification's own schema (github.com/compose-spec/compose-spec, Apache-2.0).
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    found = [e.message for e in Draft201909Validator(schema).iter_errors(COMPOSE)]
    assert found == []


@each_service
def test_nobody_is_root_or_writes_where_no_volume_is(name: str) -> None:
    service = SERVICES[name]
    assert str(service["user"]).split(":")[0] not in ("", "0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@each_service
def test_every_service_tells_how_it_is_and_has_a_fixed_version(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    tag = service["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), f"{service['image']} may be another one tomorrow"


def test_only_this_machine_reaches_it() -> None:
    published = [p for service in SERVICES.values() for p in service.get("ports", [])]
    assert sorted(published) == [f"127.0.0.1:{p}:{p}" for p in (3000, 8000, 9090)]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_settings_are_settings(name: str) -> None:
    environ = {key: filled(value) for key, value in SERVICES[name]["environment"].items()}
    settings = Settings.load(environ)
    assert settings.require_key
    assert settings.redis_url == "redis://valkey:6379/0"
    assert settings.database_url.startswith("postgresql://coterie:a-made-up-secret@postgres")


def test_what_is_waited_for_and_mounted_is_there() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source[0] == "." else source in COMPOSE["volumes"]


def test_the_experts_are_served_by_an_engine_of_either_profile() -> None:
    [expert] = load_experts(ROOT / "deploy/compose/experts.yaml", {}).experts
    aliases = SERVICES["vllm-cpu"]["networks"]["default"]["aliases"]
    assert expert.endpoint == "http://vllm:8000"
    assert "vllm" in SERVICES
    assert aliases == ["vllm"]
    for name in ("vllm", "vllm-cpu"):
        assert f"--served-model-name={expert.model}" in SERVICES[name]["command"]
        assert SERVICES[name]["profiles"]


def test_secrets_are_made_once_and_fit(tmp_path: Path) -> None:
    script = tmp_path / "deploy/compose/secrets.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/compose/secrets.sh", script)
    subprocess.run([script], check=True, capture_output=True)
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = dict(line.split("=", 1) for line in file.read_text().splitlines())
    Fernet(made["COTERIE_SEAL_KEY"])
    assert len(made["COTERIE_CONTENTS_KEY"]) >= 16
    assert len(made["COTERIE_METRICS_KEY"]) >= 16
    assert re.fullmatch(r"[\w-]{32}", made["POSTGRES_PASSWORD"]), "it stands in a URL"
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert asked == set(made)
    assert subprocess.run([script], capture_output=True, check=False).returncode == 1
    assert dict(line.split("=", 1) for line in file.read_text().splitlines()) == made


def test_the_image_runs_without_root_and_holds_only_what_is_named() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert re.search(r"^USER 10001:10001$", stages[-1], re.MULTILINE)
    assert "pip install" not in stages[-1]
    ignored = (ROOT / ".dockerignore").read_text().split()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    assert {word.rstrip("/") for line in copied for word in line.split()} == set(kept)
