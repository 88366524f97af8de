"""Whether another process is dead is known for certain, or not at all."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.jobs.job import JobState
from orchestrator.jobs.life import KEPT_S, Life
from orchestrator.jobs.service import JobService

LIVES = """
import sys, pathlib
from orchestrator.jobs.life import Life
life = Life(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None)
print(life.name, flush=True)
sys.stdin.read()
"""


def start(*args: str) -> tuple[subprocess.Popen[str], str]:
    """A process that lives until it is killed, and its name."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIVES, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_no_two_lives_share_a_name(tmp_path: Path) -> None:
    assert Life(tmp_path).name != Life(tmp_path).name


def test_a_life_is_not_over_before_its_end(tmp_path: Path) -> None:
    one, other = Life(tmp_path), Life(tmp_path)
    assert not other.is_over(one.name)
    assert not one.is_over(one.name)
    one.end()
    assert other.is_over(one.name)
    assert other.is_over(one.name)


@pytest.mark.parametrize("shared", [True, False], ids=["one folder", "one machine"])
def test_who_is_killed_is_known_to_be_dead(tmp_path: Path, shared: bool) -> None:
    process, name = start(*([str(tmp_path)] if shared else []))
    with process:
        me = Life(tmp_path)
        assert not me.is_over(name)
        process.kill()
        process.wait()
        assert me.is_over(name)


def test_a_restart_with_the_same_host_and_process_id_is_seen(tmp_path: Path) -> None:
    """In a new container the ids that are seen are others: only the file tells."""
    process, name = start(str(tmp_path))
    token = name.rpartition("/")[2]
    same = f"{socket.gethostname()}/{os.getpid()}/another/{token}"
    with process:
        me = Life(tmp_path)
        assert not me.is_over(same)
        process.kill()
        process.wait()
        assert me.is_over(same)
        assert not Life(tmp_path / "elsewhere").is_over(same)


def test_a_life_before_mine_with_my_process_id_is_over() -> None:
    host, pid, namespace, _ = Life().name.split("/")
    assert Life().is_over(f"{host}/{pid}/{namespace}/before")


@pytest.mark.parametrize(
    "name",
    ["", "me", "host/1/abcdef12", "host/1//token", "host/999999999/another/token", "h/1/2/.."],
)
def test_what_cannot_be_told_may_be_alive(tmp_path: Path, name: str) -> None:
    assert not Life(tmp_path).is_over(name)
    assert not Life().is_over(name)


def test_a_child_that_lives_on_does_not_keep_a_life_up(tmp_path: Path) -> None:
    life = Life(tmp_path)
    name = life.name
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        life.end()
        assert Life(tmp_path).is_over(name)


def test_files_of_the_long_dead_are_removed(tmp_path: Path) -> None:
    dead, old = Life(tmp_path), Life(tmp_path)
    assert dead.name
    assert old.name
    dead.end()
    for path in tmp_path.iterdir():
        os.utime(path, (0, path.stat().st_mtime - 2 * KEPT_S))
    assert Life(tmp_path).name
    assert len(list(tmp_path.iterdir())) == 2
    assert not Life(tmp_path).is_over(old.name)


def test_without_a_folder_to_write_in_the_lease_must_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert Life(tmp_path / "file").name
    assert "no lock in" in caplog.text


async def test_a_job_whose_runner_died_is_gone_on_with_at_once(world: Any, tmp_path: Path) -> None:
    before = Life(tmp_path / "lives")
    job = await world.add()
    assert await world.jobs.take(job.id, before.name)
    async with world.working() as ground:
        service = JobService(ground, pace=world.pace, life=Life(tmp_path / "lives"))
        service.start()
        assert (await world.jobs.get(job.id)).owner == before.name
        before.end()
        service._wake.set()
        async with asyncio.timeout(15):
            while (await world.jobs.get(job.id)).state is not JobState.DONE:
                await asyncio.sleep(0.005)
        await service.aclose()
