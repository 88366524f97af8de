"""A child process: watched, restarted, and ended with everything it started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from coterie.errors import ConfigurationError, EngineUnavailable
from orchestrator.engines.orphans import ProcessIdentity, RunRecord, alive, reap
from orchestrator.engines.process import Command, ManagedProcess, ProcessState
from orchestrator.engines.restart import RestartPolicy
from tests.orchestrator.engines.engine_clocks import SystemClock

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
DIES = "import sys; print('last words', flush=True); sys.exit(3)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(60)"
)
PARENT = (
    "import subprocess, sys, time;"
    "a = subprocess.Popen([sys.executable, '-c', {child!r}]);"
    "b = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True);"
    "print('pids', a.pid, b.pid, flush=True); {then}"
)

Make = Callable[..., ManagedProcess]


@pytest.fixture
async def make_child(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[ManagedProcess] = []

    def make(program: str, **changes: Any) -> ManagedProcess:
        command = Command((sys.executable, "-c", program), {"PATH": os.environ["PATH"]})
        settings: dict[str, Any] = {
            "log_path": tmp_path / "logs" / "child.log",
            "record_path": tmp_path / "run" / "child.json",
            "policy": RestartPolicy(base_delay_s=0.01, max_delay_s=0.05, max_deaths=3),
            "grace_s": 0.5,
        }
        child = ManagedProcess("law", lambda: command, clock=SystemClock(), **(settings | changes))
        made.append(child)
        return child

    yield make
    for child in made:
        await child.stop()


async def _until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (value := condition()):
            await asyncio.sleep(0.02)
    return value


def _log(child: ManagedProcess) -> str:
    return child.log_path.read_text() if child.log_path.exists() else ""


def _printed_pids(child: ManagedProcess) -> list[int]:
    lines = [line for line in _log(child).splitlines() if line.startswith("pids")]
    return [int(pid) for pid in lines[0].split()[1:]] if lines else []


async def test_it_runs_until_it_is_stopped(make_child: Make, tmp_path: Path) -> None:
    child = make_child(SLEEPS)
    await child.start()
    await _until(lambda: "up" in _log(child))
    assert child.state is ProcessState.RUNNING
    assert child.pid is not None
    process = psutil.Process(child.pid)
    await child.stop()
    assert not alive(process)
    assert child.state.value == "stopped"
    assert not list((tmp_path / "run").iterdir())


async def test_log_and_record_are_for_their_owner_only(make_child: Make, tmp_path: Path) -> None:
    child = make_child(SLEEPS)
    await child.start()
    for path in (child.log_path, tmp_path / "run" / "child.json"):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_inherited_but_what_is_given(
    make_child: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "hush")
    child = make_child("import os, time; print(sorted(os.environ), flush=True); time.sleep(60)")
    await child.start()
    await _until(lambda: "PATH" in _log(child))
    assert "MY_SECRET" not in _log(child)


async def test_one_that_dies_is_restarted_and_at_last_given_up(make_child: Make) -> None:
    child = make_child(DIES)
    await child.start()
    await _until(lambda: child.state is ProcessState.FAILED)
    assert (child.deaths, child.restarts) == (3, 2)
    assert "died 3 times" in (child.error or "")
    assert "last words" in (child.error or "")
    assert child.pid is None


async def test_a_killed_child_comes_back_under_another_pid(make_child: Make) -> None:
    child = make_child(SLEEPS)
    await child.start()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await _until(lambda: child.pid not in (None, first))
    assert "SIGKILL" in (child.error or "")
    child.mark_healthy()
    assert child.error is None


async def test_one_that_ignores_sigterm_is_killed_after_its_grace(make_child: Make) -> None:
    child = make_child(STUBBORN)
    await child.start()
    await _until(lambda: "up" in _log(child))
    assert child.pid is not None
    process = psutil.Process(child.pid)
    await asyncio.wait_for(child.stop(), 5)
    assert not alive(process)


@pytest.mark.parametrize("grandchild", [SLEEPS, STUBBORN])
async def test_stopping_ends_grandchildren_in_other_sessions_too(
    make_child: Make, grandchild: str
) -> None:
    child = make_child(PARENT.format(child=grandchild, then="time.sleep(60)"))
    await child.start()
    pids = await _until(lambda: _printed_pids(child))
    await _until(lambda: _log(child).count("up") == 2)
    processes = [psutil.Process(pid) for pid in pids]
    await child.stop()
    assert not [process for process in processes if alive(process)]


async def test_grandchildren_do_not_outlive_a_child_that_dies(make_child: Make) -> None:
    policy = RestartPolicy(max_deaths=1)
    child = make_child(PARENT.format(child=SLEEPS, then="time.sleep(60)"), policy=policy)
    await child.start()
    pids = await _until(lambda: _printed_pids(child))
    processes = [psutil.Process(pid) for pid in pids]
    await _until(lambda: _log(child).count("up") == 2)
    child.mark_healthy()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await _until(lambda: child.state is ProcessState.FAILED)
    assert not [process for process in processes if alive(process)]


async def test_a_program_that_is_missing_gives_up_with_its_name(
    make_child: Make, tmp_path: Path
) -> None:
    child = ManagedProcess(
        "law",
        lambda: Command(("/nowhere/vllm",), {}),
        log_path=tmp_path / "x.log",
        record_path=tmp_path / "x.json",
        clock=SystemClock(),
        policy=RestartPolicy(max_deaths=1),
    )
    await child.start()
    await _until(lambda: child.state is ProcessState.FAILED)
    assert "/nowhere/vllm" in (child.error or "")


async def test_an_unwritable_home_is_an_engine_error(make_child: Make, tmp_path: Path) -> None:
    (tmp_path / "logs" / "child.log").mkdir(parents=True)
    with pytest.raises(EngineUnavailable):
        await make_child(SLEEPS).start()


OWNER = """
import asyncio, sys, time
from dataclasses import replace
from pathlib import Path
from orchestrator.engines.process import Command, ManagedProcess

async def main():
    folder = Path(sys.argv[1])
    child = ManagedProcess(
        "law", lambda: Command((sys.executable, "-c", sys.argv[2]), {}), clock=time,
        log_path=folder / "child.log", record_path=folder / "child.json")
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def _start_owner(folder: Path, program: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    """Another Coterie with a child, and that child."""
    argv = [sys.executable, "-c", OWNER, str(folder), program]
    owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert owner.stdout
    return owner, psutil.Process(int(owner.stdout.readline()))


def _kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()
    assert owner.stdout
    owner.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    owner, child = await asyncio.to_thread(_start_owner, tmp_path, SLEEPS)
    await asyncio.to_thread(_kill, owner)
    await _until(lambda: not alive(child))


async def test_an_orphan_of_an_earlier_run_is_ended_by_the_next(tmp_path: Path) -> None:
    owner, child = await asyncio.to_thread(_start_owner, tmp_path, STUBBORN)
    await _until(lambda: "up" in (tmp_path / "child.log").read_text())
    await asyncio.to_thread(_kill, owner)
    assert alive(child)
    assert await reap(tmp_path / "child.json", grace_s=0.2) == 1
    assert not alive(child)
    assert not (tmp_path / "child.json").exists()


async def test_the_children_of_a_living_owner_are_left_alone(tmp_path: Path) -> None:
    owner, child = await asyncio.to_thread(_start_owner, tmp_path, SLEEPS)
    try:
        with pytest.raises(ConfigurationError, match=str(owner.pid)):
            await reap(tmp_path / "child.json")
        assert alive(child)
    finally:
        await asyncio.to_thread(_kill, owner)


@pytest.mark.parametrize("change", [{"started_s": 5.0}, {"command": "another"}])
async def test_a_process_that_only_shares_the_id_is_never_signalled(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL)
    try:
        identity = ProcessIdentity.of(psutil.Process(bystander.pid))
        stranger = replace(identity, **change)
        gone = ProcessIdentity(2**22 - 1, 1.0, "gone")
        RunRecord(gone, (stranger,)).save(tmp_path / "child.json")
        assert await reap(tmp_path / "child.json") == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": 1}', json.dumps({"members": [{}]})])
async def test_a_record_that_makes_no_sense_is_ignored(tmp_path: Path, text: str) -> None:
    path = tmp_path / "child.json"
    path.write_text(text)
    assert await reap(path) == 0
