"""`coterie doctor` finds what is amiss in a real installation, and says what to do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from typer.testing import CliRunner

from coterie.db import Database
from orchestrator.cli.commands import app
from orchestrator.doctor.examination import examine
from orchestrator.doctor.experts import look_at_experts
from orchestrator.doctor.finding import Finding, Verdict
from orchestrator.doctor.machine import GIB, judge_disk, look_at_encoder, look_at_gpu, look_at_home
from orchestrator.doctor.stores import look_at_database, look_at_queue, managed_experts
from orchestrator.doctor.versions import judge_engine, judge_libraries, judge_python
from orchestrator.settings import Settings

KEY = "sk-very-secret-key"
NO_ENCODER = "package:nothing_of_the_sort"  # told at once, with nothing heavy imported
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Serve) -> AsyncIterator[str]:
    """A server on loopback that answers ``/v1/models`` with ``answer``; gives its address."""
    made = web.Application()
    made.router.add_get("/v1/models", answer)
    runner = web.AppRunner(made)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def models(*names: str, longest: int = 4096) -> Serve:
    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": f"not {KEY}"}}, status=401)
        return web.json_response({"data": [{"id": n, "max_model_len": longest} for n in names]})

    return answer


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def settings_of(home: Path, **variables: str) -> Settings:
    return Settings.load({"COTERIE_HOME": str(home), "DOOR": KEY, **variables})


def write_experts(home: Path, *entries: dict[str, Any]) -> Path:
    file = home / "experts.yaml"
    file.write_text(json.dumps({"experts": entries}))
    return file


def entry(name: str, url: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "kind": "openai", "model": "m", "endpoint": url, **fields}


async def look(home: Path, *entries: dict[str, Any], **variables: str) -> list[Finding]:
    from orchestrator.experts_file import load_experts

    declared = load_experts(write_experts(home, *entries)).experts
    return await look_at_experts(settings_of(home, **variables), declared)


async def test_a_sound_expert_is_told_with_what_it_serves(tmp_path: Path) -> None:
    async with serving(models("m")) as url:
        [found] = await look(tmp_path, entry("good", url, api_key_env="DOOR"))
    assert found.verdict is Verdict.OK
    assert "'m', up to 4096 tokens" in found.seen


@pytest.mark.parametrize(
    ("fields", "verdict", "seen", "remedy"),
    [
        ({"model": "x"}, Verdict.FAIL, "has no model 'x', but 'm'", "set `model`"),
        ({"api_key_env": None}, Verdict.FAIL, "status 401", "`api_key_env`"),
        ({"api_key_env": "WRONG"}, Verdict.FAIL, "status 401", "into WRONG"),
        ({"api_key_env": "UNSET"}, Verdict.FAIL, "UNSET with its key is not set", "set UNSET"),
        ({"context_length": 9000}, Verdict.WARN, "4096 tokens", "`context_length: 4096`"),
        ({"enabled": False}, Verdict.OK, "disabled", ""),
    ],
)
async def test_what_is_wrong_with_an_expert_is_told(
    tmp_path: Path, fields: dict[str, Any], verdict: Verdict, seen: str, remedy: str
) -> None:
    async with serving(models("m")) as url:
        one = {**entry("odd", url, api_key_env="DOOR"), **fields}
        [found] = await look(tmp_path, {k: v for k, v in one.items() if v is not None}, WRONG="bad")
    assert (found.verdict, found.subject) == (verdict, "expert odd")
    assert seen in found.seen
    assert remedy in found.remedy
    assert KEY not in repr(found)


async def test_a_dead_replica_is_told_beside_one_that_lives(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    async with serving(models("m")) as url:
        two = {"name": "two", "kind": "openai", "model": "m", "endpoints": [url, dead]}
        found = await look(tmp_path, {**two, "api_key_env": "DOOR"})
    assert [f.verdict for f in found] == [Verdict.OK, Verdict.FAIL]
    assert f"{dead} does not answer" in found[1].seen


async def test_a_server_that_lists_nothing_can_only_be_tried(tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.Response:
        return web.json_response({"hello": "you"})

    async with serving(silent) as url:
        [found] = await look(tmp_path, entry("quiet", url))
    assert (found.verdict, found.remedy) == (Verdict.WARN, "try it: `coterie experts test quiet`")


async def test_an_endpoint_outside_the_networks_is_told(tmp_path: Path) -> None:
    async with serving(models("m")) as url:
        [found] = await look(tmp_path, entry("far", url), COTERIE_EXPERT_NETWORKS="10.0.0.0/8")
    assert found.verdict is Verdict.FAIL
    assert "COTERIE_EXPERT_NETWORKS" in found.seen


async def test_an_adapter_that_is_not_there_is_told(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    base = {"name": "base", "kind": "vllm", "model": str(weights)}
    lora = {"name": "law", "kind": "lora", "base": "base", "adapter": str(tmp_path / "none")}
    found = await look(tmp_path, base, lora)
    assert [f.verdict for f in found] == [Verdict.FAIL, Verdict.FAIL]
    assert str(weights) in found[0].seen
    weights.mkdir()
    assert (await look(tmp_path, base))[0].verdict is Verdict.OK


async def test_nobody_to_ask_is_a_failure(tmp_path: Path) -> None:
    [found] = await look_at_experts(settings_of(tmp_path), [])
    assert (found.verdict, "coterie experts add" in found.remedy) == (Verdict.FAIL, True)


# --- stores ---------------------------------------------------------------------------------------


async def set_revision(url: str, revision: str) -> None:
    database = Database(url)
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    await database.close()


async def test_the_database_is_looked_at(tmp_path: Path, database_url: str) -> None:
    settings = settings_of(tmp_path, DATABASE_URL=database_url)
    assert (await look_at_database(settings)).verdict is Verdict.OK
    assert await managed_experts(settings) == ()
    for revision, remedy in (("0003", "`coterie db upgrade`"), ("9999", "newer Coterie")):
        await set_revision(database_url, revision)
        found = await look_at_database(settings)
        assert (found.verdict, remedy in found.remedy) == (Verdict.FAIL, True)


async def test_looking_makes_no_database(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    found = await look_at_database(settings)
    assert (found.verdict, "coterie serve" in found.remedy) == (Verdict.WARN, True)
    assert not settings.home.exists()


async def test_a_database_out_of_reach_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://u:hunter2@127.0.0.1:{free_port()}/n"
    found = await look_at_database(settings_of(tmp_path, DATABASE_URL=url))
    assert (found.verdict, "DATABASE_URL" in found.remedy) == (Verdict.FAIL, True)
    assert "hunter2" not in repr(found)


async def test_the_queue_is_looked_at(tmp_path: Path, valkey_url: str) -> None:
    assert (await look_at_queue(settings_of(tmp_path))).verdict is Verdict.OK
    found = await look_at_queue(settings_of(tmp_path, REDIS_URL=valkey_url))
    assert found.verdict is Verdict.OK, found
    wrong = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    found = await look_at_queue(settings_of(tmp_path, REDIS_URL=wrong))
    assert (found.verdict, "REDIS_URL" in found.remedy) == (Verdict.FAIL, True)
    assert "hunter2" not in repr(found)


async def test_a_queue_that_may_forget_is_warned_of(tmp_path: Path, valkey_url: str) -> None:
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = await look_at_queue(settings_of(tmp_path, REDIS_URL=valkey_url))
        finally:
            await client.config_set("maxmemory-policy", "noeviction")
    assert (found.verdict, "noeviction" in found.remedy) == (Verdict.WARN, True)


# --- the machine ----------------------------------------------------------------------------------


def test_versions_are_held_against_their_ranges() -> None:
    assert judge_python("3.11.7", ">=3.11").verdict is Verdict.OK
    assert judge_python("3.10.1", ">=3.11").verdict is Verdict.FAIL
    requires = ["a>=1,<2", "b", 'vllm<0.34,>=0.31; extra == "vllm"']
    assert judge_libraries(requires, {"a": "1.5", "b": "9"}).verdict is Verdict.OK
    assert "a 2.0" in judge_libraries(requires, {"a": "2.0", "b": "9"}).seen
    assert judge_libraries(requires, {"a": "1.5"}) == Finding.fail(
        "libraries", "missing: b", "install Coterie again: `pip install coterie`"
    )
    assert judge_engine(requires, {"vllm": "0.32.1"}, needed=True).verdict is Verdict.OK
    assert judge_engine(requires, {"vllm": "0.40"}, needed=True).verdict is Verdict.WARN
    assert judge_engine(requires, {}, needed=True).verdict is Verdict.FAIL
    assert judge_engine(requires, {}, needed=False).verdict is Verdict.OK


def test_a_gpu_that_is_promised_and_missing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.doctor.machine.find_gpu", lambda: None)
    assert look_at_gpu(settings_of(tmp_path), [], engines=False).seen == "none"
    found = look_at_gpu(settings_of(tmp_path, COTERIE_GPU="1"), [], engines=True)
    assert (found.verdict, "COTERIE_GPU" in found.remedy) == (Verdict.FAIL, True)
    assert look_at_gpu(settings_of(tmp_path), ["H200"], engines=True).seen == "H200"


def test_a_full_disk_and_a_home_that_is_a_file_fail(tmp_path: Path) -> None:
    verdicts = [judge_disk(free, tmp_path).verdict for free in (GIB // 2, 2 * GIB, 9 * GIB)]
    assert verdicts == [Verdict.FAIL, Verdict.WARN, Verdict.OK]
    assert look_at_home(settings_of(tmp_path / "new")).verdict is Verdict.OK
    (tmp_path / "file").touch()
    assert look_at_home(settings_of(tmp_path / "file" / "home")).verdict is Verdict.FAIL


class Reads:
    """An encoder, as far as an encoder matters here."""

    def encode(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        return np.zeros((len(texts), 384), dtype=np.float32)


def test_an_encoder_is_tried_and_one_that_is_not_installed_fails(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert "384 numbers" in look_at_encoder(settings, lambda *_: Reads()).seen
    found = look_at_encoder(settings_of(tmp_path, COTERIE_EMBEDDING_MODEL=NO_ENCODER))
    assert (found.verdict, "COTERIE_EMBEDDING_MODEL" in found.remedy) == (Verdict.FAIL, True)


# --- all of it ------------------------------------------------------------------------------------


async def test_wrong_settings_do_not_keep_the_rest_from_being_looked_at(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "admin.key").write_text("a-key-of-some-length")
    os.chmod(home / "admin.key", 0o644)
    async with serving(models("m")) as url:
        variables = {
            "COTERIE_HOME": str(home),
            "COTERIE_CONFIG": str(write_experts(tmp_path, entry("good", url, api_key_env="DOOR"))),
            "COTERIE_EMBEDDING_MODEL": NO_ENCODER,
            "COTERIE_MAX_EXPRTS": "3",
            "COTERIE_SEAL_KEYS": KEY,
            "COTERIE_CONFIDENCE": "7",
            "DOOR": KEY,
        }
        found = await examine(variables)
    failed = {f.seen: f.remedy for f in found if f.verdict is Verdict.FAIL}
    told = " ".join(failed)
    assert "COTERIE_MAX_EXPRTS is not a setting; did you mean COTERIE_MAX_EXPERTS" in told
    assert "COTERIE_CONFIDENCE='7'" in told
    assert "admin.key can be read by others (mode 644)" in told
    assert any("serves 'm'" in f.seen for f in found)
    assert KEY not in repr(found)


async def test_the_command_prints_a_line_a_check_and_fails_where_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COTERIE_CONFIG", str(write_experts(tmp_path, entry("dead", dead))))
    monkeypatch.setenv("COTERIE_EMBEDDING_MODEL", NO_ENCODER)

    async def run(*args: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["doctor", *args])

    shown = await run()
    lines = shown.output.splitlines()
    assert shown.exit_code == 1, shown.output
    assert all(line.split(" ")[0] in ("ok", "warn", "fail") for line in lines[:-1])
    assert any(line.startswith("fail  expert dead: ") and " -> " in line for line in lines)
    as_json = json.loads((await run("--json")).output)
    assert as_json["ok"] is False
    assert len(as_json["findings"]) == len(lines) - 1


async def test_a_running_service_is_well(
    service: Any, coterie: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(models("m")) as url:
        config = write_experts(service.parts.settings.home, entry("good", url, api_key_env="DOOR"))
        monkeypatch.setenv("DATABASE_URL", service.parts.settings.database_url)
        monkeypatch.setenv("DOOR", KEY)
        monkeypatch.setenv("COTERIE_EMBEDDING_MODEL", NO_ENCODER)  # a real one takes seconds
        shown = await coterie("doctor", "--json", "--config", str(config))
    found = {f["subject"]: f for f in json.loads(shown.stdout)["findings"]}
    assert found["database"]["verdict"] == "ok"
    assert found["expert good"]["verdict"] == "ok"
    assert found["key files"]["seen"].endswith("that their owner alone can read")
    # An expert that only the database knows is looked at as well.
    failed = {subject for subject, told in found.items() if told["verdict"] == "fail"}
    assert failed == {"embedding model", "expert bad"}
