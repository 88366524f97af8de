"""One life of a process: a name that no other has, and whether the life of another is over.

Whoever runs a job writes its name beside it.  Another takes the job over when the lease has run
out; sooner, if that life is known to be over.  A container that starts again has hostname and
process id of the one before, and so may two that live, so that neither tells anything.  What does:

* Every life keeps a file of its own locked.  The kernel lets go of the lock when the process ends,
  whatever ends it: whoever shares the folder can try.
* Among processes that see the same process ids, one whose id nobody has, or I have, is gone.

Where neither tells, the other may be alive.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil

log = logging.getLogger(__name__)

KEPT_S = 24 * 3600.0
"""How long the file of a life that is over is kept, for those who look later."""


class Life:
    """The life of this process; ``folder`` holds the files of all who share it, None: no files."""

    _here: ClassVar[set[str]] = set()  # should a process have more than one

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._token = uuid.uuid4().hex
        self._file: int | None = None
        self._name = ""

    @property
    def name(self) -> str:
        """The name; from the first time it is told, others can see whether this life is over."""
        if not self._name:
            self._here.add(self._token)
            self._hold()
            self._name = f"{socket.gethostname()}/{os.getpid()}/{_namespace()}/{self._token}"
        return self._name

    def end(self) -> None:
        """Nothing is held under this name any more."""
        self._here.discard(self._token)
        self._close()

    def is_over(self, name: str) -> bool:
        """Whether the life called ``name`` is over for certain."""
        _, pid, namespace, token, *_ = [*name.split("/"), "", "", ""]
        if token in self._here or not pid.isdigit() or not token.isalnum():
            return False
        if (locked := self._is_locked(token)) is not None:
            return not locked
        if not namespace or namespace != _namespace():
            return False
        return int(pid) == os.getpid() or not psutil.pid_exists(int(pid))

    def _hold(self) -> None:
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep(self._folder)
            # Not inherited: an engine that outlives this process does not keep its life up.
            self._file = os.open(self._folder / self._token, os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.warning(
                "no lock in %s (%s): another process waits a lease when this one dies",
                self._folder,
                error,
            )
            self._close()
            with suppress(OSError):  # a file that nobody locks would speak of a life that is over
                (self._folder / self._token).unlink()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _is_locked(self, token: str) -> bool | None:
        """Whether somebody lives in the file; None where there is none, or it cannot be told."""
        if self._folder is None:
            return None
        try:
            file = os.open(self._folder / token, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # who tries does not hinder who tries
        except BlockingIOError:
            return True
        except OSError:
            return None
        finally:
            os.close(file)
        return False

    def _sweep(self, folder: Path) -> None:
        """Removes the files of lives that are long over."""
        for path in folder.iterdir():
            with suppress(OSError):
                old = time.time() - path.stat().st_mtime > KEPT_S
                if old and self._is_locked(path.name) is False:
                    path.unlink()


def _namespace() -> str:
    """Which processes see the same process ids; "" where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        ids = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {ids}".encode()).hexdigest()[:12]
