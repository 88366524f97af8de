"""The database's schema: brings it up to date, and refuses to start on one that is not.

There is no ``alembic.ini``: everything Alembic needs is given to it here.  A developer makes a new
migration with ``python -m orchestrator.schema "what changes"``.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, text

import coterie
from coterie.db import Base, Database
from coterie.errors import ConfigurationError

TABLES = (
    "skills.tables",
    "orchestrator.keys.tables",
    "orchestrator.traces.tables",
    "orchestrator.jobs.tables",
    "orchestrator.batches.tables",
)
"""The modules that hold Coterie's tables."""

_LOCK = 0x636F7465  # any number, as long as every upgrade takes the same one

T = TypeVar("T")


def metadata() -> MetaData:
    """Every table of Coterie."""
    for module in TABLES:
        importlib.import_module(module)
    return Base.metadata


def migrations_dir() -> Path:
    """Where the migrations are: inside an installed package, beside it in a source tree."""
    package = Path(coterie.__file__).parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def head() -> str:
    """The revision this version of Coterie works with."""
    return str(ScriptDirectory(str(migrations_dir())).get_current_head())


def revisions() -> tuple[str, ...]:
    """Every revision there is, the oldest first."""
    scripts = ScriptDirectory(str(migrations_dir()))
    return tuple(reversed([str(script.revision) for script in scripts.walk_revisions()]))


async def upgrade(database_url: str) -> str:
    """Brings the database up to date; returns the revision it has then.

    All or nothing, also when two processes start at once: the second waits and finds it done.
    """
    try:
        await _in_transaction(database_url, _upgrade)
    except CommandError as error:
        raise ConfigurationError(
            f"the database cannot be upgraded: {error}; it was probably made by a newer Coterie, "
            "so upgrade Coterie or point DATABASE_URL at another database"
        ) from None
    return head()


async def current(database_url: str) -> str | None:
    """The database's revision; None where it was never set up."""
    return await _in_transaction(
        database_url, lambda c: MigrationContext.configure(c).get_current_revision()
    )


async def ensure(database_url: str) -> None:
    """Sets up a database that never was; refuses one of another revision.

    Raises:
        ConfigurationError: the data there is another version's: upgrading it is its owner's choice.
    """
    found, wanted = await current(database_url), head()
    if found is None:
        await upgrade(database_url)
    elif found != wanted:
        raise ConfigurationError(
            f"the database is at revision {found!r}, this version of Coterie needs {wanted!r}; "
            "run `coterie db upgrade`"
        )


async def _in_transaction(database_url: str, work: Callable[[Connection], T]) -> T:
    database = Database(database_url, pool_size=1, enforce_foreign_keys=False)
    try:
        health = await database.ping()
        if not health.ok:
            raise ConfigurationError(f"{database!r}: {health.detail}; check DATABASE_URL")
        async with database.engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await database.close()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(_config(connection), "head")


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection, "metadata": metadata()})
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    return config


async def _new_revision(message: str) -> None:
    """Writes a migration from the migrated schema to the tables as they are declared."""

    def write(connection: Connection) -> Any:
        _upgrade(connection)
        following = f"{int(head()) + 1:04d}"
        return command.revision(_config(connection), message, autogenerate=True, rev_id=following)

    with tempfile.TemporaryDirectory() as folder:
        await _in_transaction(f"sqlite:///{folder}/new.sqlite", write)


if __name__ == "__main__":
    asyncio.run(_new_revision(sys.argv[1]))
