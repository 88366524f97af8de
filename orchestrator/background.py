"""A server in the background: started, found again, stopped by process id, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from coterie.errors import CoterieError
from orchestrator.settings import Settings

STOP_S = 45.0
LOG_LINES = 25


class ServerDied(CoterieError):
    """The server in the background ended before it was ready."""


@dataclass(frozen=True, slots=True)
class Background:
    """The server that these settings describe, as a process of this machine."""

    settings: Settings

    @property
    def log(self) -> Path:
        return self.settings.logs_dir / "server.log"

    @property
    def _record(self) -> Path:
        return self.settings.server_file

    def process(self) -> psutil.Process | None:
        """The running server; None where there is none.

        Process ids are used again by the system: the creation time tells whether it is ours.
        """
        try:
            record = json.loads(self._record.read_text())
            process = psutil.Process(record["pid"])
            ours = abs(process.create_time() - record["create_time"]) < 1
        except (OSError, ValueError, KeyError, psutil.Error):
            return None
        return process if ours and _lives(process) else None

    def start(self) -> psutil.Process:
        """Starts `coterie serve` in a session of its own, its output going to the log."""
        for folder in (self.settings.home, self.settings.logs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COTERIE_CONFIG": str(self.settings.config)},
                start_new_session=True,
            )
        process = psutil.Process(child.pid)
        record = {"pid": process.pid, "create_time": process.create_time()}
        self._record.write_text(json.dumps({**record, "url": self.settings.url}))
        return process

    def stop(self, tell: Callable[[str], None] = lambda text: None) -> bool:
        """Ends the server and its engines; False where none runs."""
        process = self.process()
        if process is None:
            self._record.unlink(missing_ok=True)
            return False
        family = [process, *_children(process)]
        tell(f"stopping the server (process {process.pid}) and its engines")
        process.terminate()
        wait_until(
            lambda: not any(map(_lives, family)),
            timeout_s=self.settings.shutdown_s + STOP_S,
            every_s=0.1,
        )
        for left in filter(_lives, family):  # each was found as a descendant of our own server
            left.kill()
        self._record.unlink(missing_ok=True)
        return True

    def check_alive(self, process: psutil.Process) -> None:
        """Raises :class:`ServerDied`, with the end of its log, once the process has ended."""
        if _lives(process):
            return
        raise ServerDied(f"the server ended before it was ready; {self.log} ends:\n{self.tail()}")

    def tail(self, lines: int = LOG_LINES) -> str:
        """The last lines of the server's log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie has ended, though nobody has asked for its status yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def wait_until(ready: Callable[[], bool], *, timeout_s: float, every_s: float = 0.5) -> bool:
    """Polls ``ready`` until it is true, for at most ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(every_s)
    return False
