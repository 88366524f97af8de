"""What every call to the database needs: it is not cut short, and an outage is told as one.

A call once begun is finished, and the cancelling waits for it: what a caller pays for is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from coterie.errors import StoreUnavailable
from coterie.uncut import uncut

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


P = ParamSpec("P")
T = TypeVar("T")


def reaching(call: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A store's method that raises :class:`StoreUnavailable` while the database is away.

    Other errors are raised as they are.  The message has the cause, and nothing of what was to be
    stored.
    """

    @wraps(call)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await uncut(call(*args, **kwargs))
        except _AWAY as error:
            cause = _first_line(error)
            if any(mark in cause for mark in _AT_FAULT):
                raise
            raise StoreUnavailable(f"the database cannot be reached: {cause}") from error
        except DBAPIError as error:
            if not (error.connection_invalidated or isinstance(_driver_error(error), _AWAY)):
                raise
            raise StoreUnavailable(f"the database went away: {_first_line(error)}") from error

    return run


def _driver_error(error: DBAPIError) -> BaseException | None:
    """The driver's own error, which its SQLAlchemy adapter hides one level down."""
    return getattr(error.orig, "__cause__", None)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]
