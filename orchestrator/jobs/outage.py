"""Tells a database that is away from one that refuses what it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from coterie.errors import StoreUnavailable

_AWAY = (
    OSError,
    TimeoutError,
    PoolTimeout,
    InterfaceError,
    OperationalError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
)
"""What drivers raise while nobody answers; several of these SQLAlchemy does not wrap."""

_AT_FAULT = ("no such table", "no such column", "syntax error")


@asynccontextmanager
async def told_apart() -> AsyncIterator[None]:
    """Raises :class:`StoreUnavailable` for a database that is away; other errors as they are.

    The message has the cause and nothing of what was to be stored.
    """
    try:
        yield
    except _AWAY as error:
        cause = _first_line(error)
        if any(mark in cause for mark in _AT_FAULT):
            raise
        raise StoreUnavailable(f"the database cannot be reached: {cause}") from error
    except DBAPIError as error:
        if not (error.connection_invalidated or isinstance(_driver_error(error), _AWAY)):
            raise
        raise StoreUnavailable(f"the database went away: {_first_line(error)}") from error


def _driver_error(error: DBAPIError) -> BaseException | None:
    """The driver's own error, which its SQLAlchemy adapter hides one level down."""
    return getattr(error.orig, "__cause__", None)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]
