"""Which processes are ours, kept on disk, so that a later start can end what an earlier one left.

A process id alone proves nothing, as ids are used again: a process is only signalled when its
start time and its command line are those that were recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from coterie.errors import ConfigurationError

_CLOCK_TOLERANCE_S = 2.0
"""The kernel gives start times relative to boot; stepping the clock shifts them a little."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, beyond its id: ``started_s`` is epoch seconds, ``command`` a digest of argv."""

    pid: int
    started_s: float
    command: str

    @classmethod
    def of(cls, process: psutil.Process) -> ProcessIdentity:
        """The identity of a running process; raises psutil.Error when it is gone."""
        return cls(process.pid, process.create_time(), _digest(process.cmdline()))

    def find(self) -> psutil.Process | None:
        """The process, if it still runs and is the same."""
        try:
            process = psutil.Process(self.pid)
            found = ProcessIdentity.of(process)
            same_start = abs(found.started_s - self.started_s) <= _CLOCK_TOLERANCE_S
        except (psutil.Error, TypeError, ValueError):
            return None
        return process if same_start and found.command == self.command else None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A child, its descendants as last seen, and the process that watches over them."""

    owner: ProcessIdentity
    members: tuple[ProcessIdentity, ...]

    @classmethod
    def of(cls, pid: int) -> RunRecord:
        """The record of child ``pid`` of this process; raises psutil.Error when it is gone."""
        return cls(
            owner=ProcessIdentity.of(psutil.Process()),
            members=tuple(_identities(family(pid))),
        )

    @classmethod
    def load(cls, path: Path) -> RunRecord | None:
        """The record at ``path``; None where there is none that makes sense."""
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            members = tuple(ProcessIdentity(**member) for member in row["members"])
            return cls(ProcessIdentity(**row["owner"]), members)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Writes the record whole or not at all, for its owner's eyes only."""
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened:
            json.dump(asdict(self), opened)
        partial.replace(path)


async def reap(path: Path, *, grace_s: float = 5.0) -> int:
    """Ends what the record at ``path`` says an earlier run left, and removes the record.

    Returns how many processes were signalled: none that is not provably ours.

    Raises:
        ConfigurationError: another living Coterie watches over them.
    """
    record = RunRecord.load(path)
    if record is None:
        return 0
    if record.owner.pid != os.getpid() and record.owner.find():
        raise ConfigurationError(
            f"the engines under {str(path.parent)!r} belong to process {record.owner.pid}, which "
            "is running; stop it, or give this one another home directory"
        )
    left = [process for member in record.members if (process := member.find())]
    everyone = {process.pid: process for one in left for process in family(one.pid)}
    await end(list(everyone.values()), grace_s=grace_s)
    forget(path)
    return len(everyone)


def forget(path: Path) -> None:
    """Removes the record at ``path``: nothing of it runs any more."""
    path.unlink(missing_ok=True)


def family(pid: int) -> list[psutil.Process]:
    """Process ``pid`` and all its descendants; empty when it is gone."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def session_of(pid: int) -> list[psutil.Process]:
    """The living processes of the session that ``pid`` leads or led."""
    return [process for process in psutil.process_iter() if _session_id(process.pid) == pid]


def _session_id(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return None


async def end(processes: Sequence[psutil.Process], *, grace_s: float) -> None:
    """SIGTERM to each, and SIGKILL to those that are there still after ``grace_s``."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    left = await gone_within(processes, grace_s)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    await gone_within(left, grace_s)


async def gone_within(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after ``seconds``; returns earlier when all have ended."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if alive(process)]
    while left and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_S)
        left = [process for process in left if alive(process)]
    return left


def alive(process: psutil.Process) -> bool:
    """Whether it runs: a zombie that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _identities(processes: Iterable[psutil.Process]) -> Iterable[ProcessIdentity]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            yield ProcessIdentity.of(process)


def _digest(argv: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(argv).encode("utf-8", "surrogateescape")).hexdigest()
