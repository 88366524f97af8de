"""The database: one place for engines, sessions and column types; knows nothing of any table.

Stores take a :class:`Database` and open a transaction per call::

    async with database.transaction() as session:   # commits at the end, rolls back on an error
        ...

SQLite takes one writer at a time.  Writers of this process queue for a single connection, in
order; writers of other processes wait in SQLite for up to ``BUSY_TIMEOUT_MS``.  A writer takes the
lock as its transaction begins (``BEGIN IMMEDIATE``), because one that starts as a reader cannot
wait for the lock later: SQLite then fails at once.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import JSON, DateTime, Dialect, Double, MetaData, Text, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from coterie.errors import ConfigurationError
from coterie.types import Health
from coterie.uncut import uncut

BUSY_TIMEOUT_MS = 5000
CACHE_KIB = 32 * 1024
"""Of pages, for the connection to SQLite that writes, and for all that read together.  Keys that
are hashes are all over their index: with SQLite's own 2 MiB, every row written would cost a page
read and a page spilled, and more the larger the index is."""
CHECKPOINT_PAGES = 8192
"""Pages (of 4 KiB) in the log before they are carried over to the database.  Pages that are written
again and again meanwhile are carried, and synced, once."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_ALLOWED = "sqlite:///path/to/file or postgresql://user:password@host/name"


# --- columns ------------------------------------------------------------------------------------


class CleanText(TypeDecorator[str]):
    """Text that both databases take: NUL and lone surrogates, which models do emit, replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware going in, UTC coming out, also from SQLite, which keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """What every table of Coterie derives from."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # JSON, not JSONB: it keeps the order of keys and takes any string a model can write.
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: CleanText,
        float: Double,
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
    }


def utcnow() -> datetime:
    """Now, with its time zone."""
    return datetime.now(UTC)


# --- connections --------------------------------------------------------------------------------


def parse_url(url: str) -> URL:
    """``url`` with the driver Coterie uses; :class:`ConfigurationError` for any other database."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(f"DATABASE_URL is not a URL; write {_ALLOWED}") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigurationError(
            f"DATABASE_URL has the scheme {parsed.drivername!r}, which Coterie does not speak; "
            f"write {_ALLOWED}"
        )
    if driver.startswith("sqlite"):
        if parsed.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "DATABASE_URL names no file, and a database in memory would be gone with its "
                "connection; write sqlite:///path/to/file"
            )
        return parsed.set(drivername=driver)
    return _libpq_to_asyncpg(parsed.set(drivername=driver))


def _libpq_to_asyncpg(url: URL) -> URL:
    """libpq's ``sslmode``, which hosting services put into their URLs, under asyncpg's name."""
    query = dict(url.query)
    if "sslmode" in query:
        query.setdefault("ssl", query.pop("sslmode"))
    return url.set(query=query)


_ENCODER = json.JSONEncoder(allow_nan=False)  # made once: json.dumps would make one for every row


def _dumps(value: object) -> str:
    # NaN is not JSON: PostgreSQL refuses it, and SQLite would keep what nobody can read back.
    return _ENCODER.encode(value)


class Database:
    """The engines behind one ``DATABASE_URL``.  Nothing connects before the first use.

    ``pool_timeout_s`` is how long a transaction waits for a connection before it fails.
    ``enforce_foreign_keys=False`` is for migrations: on SQLite these rebuild tables, and dropping
    the old one would cascade.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout_s: float = 30.0,
        enforce_foreign_keys: bool = True,
    ) -> None:
        self._url = parse_url(url)
        self._reader: AsyncEngine
        if self.dialect == "sqlite":
            self._engine = self._sqlite("BEGIN IMMEDIATE", 1, pool_timeout_s, enforce_foreign_keys)
            self._reader = self._sqlite("BEGIN", pool_size, pool_timeout_s, enforce_foreign_keys)
        else:
            self._engine = self._postgresql(pool_size, pool_timeout_s)
            self._reader = self._engine.execution_options(postgresql_readonly=True)
        self._writers = async_sessionmaker(self._engine, expire_on_commit=False)
        self._readers = async_sessionmaker(self._reader, expire_on_commit=False)

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._url.get_backend_name()

    @property
    def engine(self) -> AsyncEngine:
        """The engine that writes, for migrations."""
        return self._engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end of the block.  Transactions do not nest."""
        async with self._writers.begin() as session:
            await self._connect(session)
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the database and changes nothing."""
        async with self._readers() as session:
            await self._connect(session)
            yield session

    async def _connect(self, session: AsyncSession) -> None:
        """Gets the session its connection; on SQLite whoever is cancelled meanwhile waits for it.

        A pool whose only connection is given up half made does not tell those who wait for one.
        """
        if self.dialect == "sqlite":
            await uncut(session.connection())

    async def ping(self, timeout_s: float = 5.0) -> Health:
        """Whether the database answers within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s), self.read() as session:
                await session.execute(text("SELECT 1"))
        except TimeoutError:
            return Health(False, f"the database did not answer within {timeout_s:g} s")
        except Exception as error:  # drivers raise more kinds than SQLAlchemy wraps
            cause = str(getattr(error, "orig", None) or error) or type(error).__name__
            return Health(False, f"the database does not answer: {cause.splitlines()[0]}")
        return Health(True)

    async def close(self) -> None:
        """Closes every connection."""
        await self._reader.dispose()
        await self._engine.dispose()

    def _postgresql(self, pool_size: int, pool_timeout_s: float) -> AsyncEngine:
        return create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            pool_pre_ping=True,
            json_serializer=_dumps,
            hide_parameters=True,  # an error must not carry what was to be stored
            connect_args={"timeout": 10, "server_settings": {"application_name": "coterie"}},
        )

    def _sqlite(
        self, begin: str, pool_size: int, pool_timeout_s: float, foreign_keys: bool
    ) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            json_serializer=_dumps,
            hide_parameters=True,  # an error must not carry what was to be stored
            # Transactions begin below, not in the driver.
            connect_args={
                "isolation_level": None,
                "check_same_thread": False,  # see _Connection
                "async_creator_fn": _connect,
            },
        )
        folder = Path(str(self._url.database)).parent

        @event.listens_for(engine.sync_engine, "do_connect")
        def create_folder(*_: object) -> None:
            folder.mkdir(parents=True, exist_ok=True)

        @event.listens_for(engine.sync_engine, "connect")
        def configure(connection: Any, _: object) -> None:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB // pool_size}")
            cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin_transaction(connection: Any) -> None:
            connection.exec_driver_sql(begin)

        return engine


class _Connection(aiosqlite.Connection):
    """A connection whose statements are never cut short.

    A cancelled call would leave its statement running in the connection's thread and its cursor
    open, and the database locked for as long as anything, an exception's traceback say, refers to
    it.  So the cancelling waits for the statement, and its cursor is closed.
    """

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_instant(fn):
            return fn(*args, **kwargs)
        work = asyncio.ensure_future(super()._execute(fn, *args, **kwargs))  # type: ignore[no-untyped-call]
        try:
            return await uncut(work)
        except asyncio.CancelledError:
            if not work.cancelled() and work.exception() is None:
                result = work.result()
                if isinstance(result, sqlite3.Cursor):
                    result.close()
            raise


def _is_instant(fn: Any) -> bool:
    """Whether it opens or closes a cursor, which is not worth two changes of thread.

    Nothing runs in the connection's thread meanwhile: whoever began it has waited for its end.
    """
    of, name = getattr(fn, "__self__", None), getattr(fn, "__name__", "")
    return (isinstance(of, sqlite3.Connection) and name == "cursor") or (
        isinstance(of, sqlite3.Cursor) and name == "close"
    )


async def _connect(database: str, **kwargs: Any) -> aiosqlite.Connection:
    connection = _Connection(lambda: sqlite3.connect(database, **kwargs), iter_chunk_size=64)
    connection._thread.daemon = True  # or a process that dies badly would wait for it
    try:
        return await uncut(connection)
    except asyncio.CancelledError:
        connection.stop()
        raise


async def upsert(
    session: AsyncSession,
    row: type[Base],
    values: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    keep: Collection[str] = (),
) -> None:
    """Inserts ``values``; where ``key`` exists already, overwrites all columns but ``keep``."""
    if not values:
        return
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement: Any = insert(row.__table__)  # type: ignore[arg-type]
    changed = {c: statement.excluded[c] for c in values[0] if c not in key and c not in keep}
    statement = statement.on_conflict_do_update(index_elements=list(key), set_=changed)
    await session.execute(statement, list(values))


async def insert_new(
    session: AsyncSession, row: type[Base], values: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts ``values``; where a row of the same key exists already, that one stays."""
    if not values:
        return
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement: Any = insert(row.__table__)  # type: ignore[arg-type]
    await session.execute(statement.on_conflict_do_nothing(), list(values))
