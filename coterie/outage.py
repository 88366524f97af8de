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

MAYBE_AWAY = (*_AWAY, DBAPIError)
"""What may be raised where nobody answers, and for other reasons too: see :func:`outage_in`."""

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
        except MAYBE_AWAY as error:
            if told := outage_in(error):
                raise told from error
            raise

    return run


def outage_in(error: Exception) -> StoreUnavailable | None:
    """The outage that one of :data:`MAYBE_AWAY` tells of; None: it tells of something else."""
    cause = _first_line(error)
    if isinstance(error, _AWAY):
        if any(mark in cause for mark in _AT_FAULT):
            return None
        return StoreUnavailable(f"the database cannot be reached: {cause}")
    if not isinstance(error, DBAPIError):
        return None
    if not (error.connection_invalidated or isinstance(_driver_error(error), _AWAY)):
        return None
    return StoreUnavailable(f"the database went away: {cause}")


def _driver_error(error: DBAPIError) -> BaseException | None:
    """The driver's own error, which its SQLAlchemy adapter hides one level down."""
    return getattr(error.orig, "__cause__", None)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]
