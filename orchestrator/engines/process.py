"""A child process that is watched: started, restarted when it dies, and ended with all its own.

Knows nothing of what the child does.  Shutdown order: no more restarts, SIGTERM to the child's
whole session, a bounded wait, SIGKILL to whatever is left of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import psutil

from coterie.errors import EngineUnavailable
from coterie.ports import Clock
from orchestrator.engines.orphans import (
    RunRecord,
    alive,
    family,
    forget,
    gone_within,
    reap,
    session_of,
)
from orchestrator.engines.restart import RestartPolicy

LOG_LINES_SHOWN = 15
_LOG_TAIL_BYTES = 16 * 1024

# Runs in the child before its program.  A preexec_fn would do the same, but runs Python between
# fork and exec, which deadlocks where other threads hold locks.  SIGTERM, not SIGKILL: the child
# shall still end its own children.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
parent, argv = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))
    if os.getppid() != parent:
        sys.exit("the parent is gone")
try:
    os.execvp(argv[0], argv)
except OSError as error:
    sys.exit(f"cannot run {argv[0]!r}: {error}")
"""


class ProcessState(StrEnum):
    """Where a child is in its life."""

    STOPPED = "stopped"
    RUNNING = "running"
    WAITING = "waiting to restart"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, with its whole environment: nothing is inherited."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


class ManagedProcess:
    """Keeps one child running until :meth:`stop`.

    ``command`` is asked before every start, so that a port may change.  ``log_path`` takes the
    child's output (appended, mode 0600), ``record_path`` says which processes are ours.
    ``grace_s`` is how long the child may take to end by itself.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        *,
        log_path: Path,
        record_path: Path,
        clock: Clock,
        policy: RestartPolicy | None = None,
        grace_s: float = 10.0,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.state = ProcessState.STOPPED
        self.error: str | None = None
        self.deaths = 0
        self.restarts = 0
        self._command = command
        self._record_path = record_path
        self._clock = clock
        self._policy = policy or RestartPolicy()
        self._grace_s = grace_s
        self._recent_deaths: list[float] = []
        self._healthy_since_s: float | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Ends what an earlier run left, starts the child, and watches it from now on.

        Raises:
            ConfigurationError: another living Coterie watches over this child.
            EngineUnavailable: the program cannot be started.
        """
        for folder in (self.log_path.parent, self._record_path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await reap(self._record_path)
        self._recent_deaths.clear()
        self.error = None
        await self._spawn()
        self._watch = asyncio.create_task(self._keep_running(), name=f"watch {self.name}")

    async def stop(self) -> None:
        """Ends the child and every process it started; returns when they are gone."""
        watch, self._watch = self._watch, None
        try:
            if watch:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
        finally:
            await self._end_child()
            self.state = ProcessState.STOPPED

    def mark_healthy(self) -> None:
        """To be called when the child proves healthy: from then on its deaths are forgiven sooner.

        Its descendants are complete by now, and are recorded.
        """
        if self._child and self._healthy_since_s is None:
            self._healthy_since_s = self._clock.monotonic()
            self.error = None
            self._record(self._child.pid)

    def _recorded(self) -> list[psutil.Process]:
        """The descendants last seen: those of a dead child cannot be found through it."""
        record = RunRecord.load(self._record_path)
        members = record.members if record else ()
        return [process for member in members if (process := member.find())]

    def log_tail(self) -> str:
        """The last lines of the child's log."""
        return last_lines(self.log_path)

    async def _spawn(self) -> None:
        command = self._command()
        argv = (sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()))
        try:
            with _open_log(self.log_path) as log:
                self._child = await asyncio.create_subprocess_exec(
                    *argv,
                    *command.argv,
                    env=dict(command.env),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineUnavailable(self.name, f"cannot start its process: {error}") from error
        self._healthy_since_s = None
        self.state = ProcessState.RUNNING
        await self._await_program(self._child, argv)
        self._record(self._child.pid)

    async def _await_program(
        self, child: asyncio.subprocess.Process, argv: tuple[str, ...]
    ) -> None:
        """Waits until the launcher has become the program: the record holds its command line."""
        while child.returncode is None:
            try:
                if psutil.Process(child.pid).cmdline()[: len(argv)] != list(argv):
                    return
            except psutil.Error:
                return
            await asyncio.sleep(0.02)

    def _record(self, pid: int) -> None:
        with contextlib.suppress(psutil.Error):
            RunRecord.of(pid).save(self._record_path)

    async def _keep_running(self) -> None:
        while self._child:
            code = await self._child.wait()
            await self._end_child()
            delay_s = self._count_death()
            self.error = f"its process died {_manner(code)}; last lines of {self.log_path}:\n"
            self.error += self.log_tail()
            if delay_s is None:
                self._give_up()
                return
            self.state = ProcessState.WAITING
            await asyncio.sleep(delay_s)
            await self._respawn()

    async def _respawn(self) -> None:
        try:
            await self._spawn()
        except EngineUnavailable as error:
            self.error, self.state = str(error), ProcessState.FAILED
        else:
            self.restarts += 1

    def _count_death(self) -> float | None:
        now = self._clock.monotonic()
        if self._policy.forgives(self._healthy_since_s, now):
            self._recent_deaths.clear()
        self._recent_deaths.append(now)
        self.deaths += 1
        return self._policy.delay_s(self._recent_deaths)

    def _give_up(self) -> None:
        self.state = ProcessState.FAILED
        died = len(self._recent_deaths)
        times = "once" if died == 1 else f"{died} times in a row"
        self.error = f"given up, having died {times}: mend the cause, start again; "
        self.error += f"last lines of {self.log_path}:\n{self.log_tail()}"

    async def _end_child(self) -> None:
        """Ends the child's session and descendants; those that outlived their parent too."""
        child, self._child = self._child, None
        if child is None:
            return
        left = {p.pid: p for p in (*family(child.pid), *session_of(child.pid), *self._recorded())}
        try:
            _signal_all(child.pid, left, signal.SIGTERM)
            await gone_within(left.values(), self._grace_s)
        finally:
            # Also when this wait is cancelled: nothing may outlive its owner.
            stragglers = {pid: p for pid, p in left.items() if alive(p)}
            stragglers |= {p.pid: p for p in session_of(child.pid)}
            _signal_all(child.pid, stragglers, signal.SIGKILL)
        await child.wait()
        await gone_within(stragglers.values(), self._grace_s)
        forget(self._record_path)


def _signal_all(session: int, processes: Mapping[int, psutil.Process], number: int) -> None:
    """Signals a group at once, and one by one those that left it; each gets the signal once."""
    grouped = {pid for pid in processes if _group_of(pid) == session}
    if grouped:
        with contextlib.suppress(OSError):
            os.killpg(session, number)
    for pid in processes.keys() - grouped:
        with contextlib.suppress(psutil.Error):
            processes[pid].send_signal(number)


def _group_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return None


def _open_log(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "ab")


def last_lines(path: Path) -> str:
    """The last lines of a log, or why there are none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(deque(text.splitlines(), maxlen=LOG_LINES_SHOWN)) or "(the log is empty)"


def _manner(code: int) -> str:
    if code >= 0:
        return f"with exit status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
