"""Requests and tokens a minute, counted by `limits`: in memory, or in Redis where processes share
one.

A minute is a window that begins with the first request in it.  A request counts when it comes in;
of its tokens the prompt's do (as estimated), and the rest when it is over, so that what is in
flight together can exceed a minute's tokens, and later requests wait for it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from coterie.errors import RateExceeded, StoreUnavailable
from orchestrator.keys.key import ApiKey

log = logging.getLogger(__name__)

REDIS_TIMEOUT_S = 2.0

_AWAY = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Window:
    """How a limit stands: ``left`` of ``limit``, all of it again after ``reset_s`` seconds."""

    what: str
    limit: int
    left: int
    reset_s: float

    @property
    def headers(self) -> Mapping[str, str]:
        """As OpenAI's clients know them."""
        return {
            f"x-ratelimit-limit-{self.what}": str(self.limit),
            f"x-ratelimit-remaining-{self.what}": str(max(0, self.left)),
            f"x-ratelimit-reset-{self.what}": f"{self.reset_s:.3f}s",
        }


class RateCounter:
    """Counts requests and tokens of keys.

    ``closed``: while Redis is away, keys with rates are refused; else each process counts for
    itself until it is back.
    """

    def __init__(self, shared: Storage | None = None, *, closed: bool = False) -> None:
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared = FixedWindowRateLimiter(shared) if shared else None
        self._closed = closed
        self._told = False

    @classmethod
    def of(cls, redis_url: str | None, prefix: str, *, closed: bool = False) -> RateCounter:
        """Counts in the Redis at ``redis_url``, under keys that begin with ``prefix``."""
        if redis_url is None:
            return cls(closed=closed)
        return cls(_redis(redis_url, prefix), closed=closed)

    async def aclose(self) -> None:
        """Lets the connections go."""
        bridge: Any = getattr(self._shared and self._shared.storage, "bridge", None)
        if bridge:
            await bridge.storage.aclose()

    async def admit(self, key: ApiKey, tokens: int) -> tuple[Window, ...]:
        """Counts a request whose prompt has so many tokens.

        Raises:
            RateExceeded: one of the limits is used up; it says when it is not any more.
            StoreUnavailable: Redis is away, and limits are closed then.
        """
        windows = []
        if key.rates.requests is not None:
            windows.append(await self._hit(key, "requests", key.rates.requests, 1))
        if key.rates.tokens is not None:
            windows.append(await self._hit(key, "tokens", key.rates.tokens, tokens))
        return tuple(windows)

    async def add(self, key: ApiKey, tokens: int) -> None:
        """Counts more tokens of a request that was let in."""
        if key.rates.tokens is None or tokens <= 0:
            return
        item = RateLimitItemPerMinute(key.rates.tokens)
        try:
            await (self._shared or self._own).hit(item, key.id, "tokens", cost=tokens)
        except _AWAY:
            await self._own.hit(item, key.id, "tokens", cost=tokens)

    async def _hit(self, key: ApiKey, what: str, limit: int, cost: int) -> Window:
        if self._shared is None:
            return await _count(self._own, key, what, limit, cost)
        try:
            found = await _count(self._shared, key, what, limit, cost)
            self._told = False
            return found
        except _AWAY as error:
            if self._closed:
                raise StoreUnavailable(
                    "this key's rates cannot be counted, as Redis cannot be reached: try again "
                    "shortly"
                ) from error
            if not self._told:
                log.warning("rates are counted by this process alone: Redis is away: %r", error)
            self._told = True
            return await _count(self._own, key, what, limit, cost)


async def _count(
    limiter: FixedWindowRateLimiter, key: ApiKey, what: str, limit: int, cost: int
) -> Window:
    item = RateLimitItemPerMinute(limit)
    # Tested first: what does not fit must not use up what smaller requests could still have.
    fits = await limiter.test(item, key.id, what, cost=cost)
    fits = fits and await limiter.hit(item, key.id, what, cost=cost)
    stats = await limiter.get_window_stats(item, key.id, what)
    window = Window(what, limit, stats.remaining, max(0.0, stats.reset_time - time.time()))
    if not fits:
        raise _exceeded(key, window, cost)
    return window


def _exceeded(key: ApiKey, window: Window, cost: int) -> RateExceeded:
    told = f"the key {key.name!r} may use {window.limit} {window.what} a minute"
    if cost > window.limit:
        return RateExceeded(
            f"{told}, and this request's prompt has about {cost}: shorten it",
            retry_after_s=60.0,
            headers=window.headers,
        )
    wait = math.ceil(window.reset_s) or 1
    return RateExceeded(
        f"{told}, and {window.left} are left: try again in {wait} s",
        retry_after_s=wait,
        headers=window.headers,
    )


def _redis(url: str, prefix: str) -> Storage:
    scheme = (
        "async+redis+unix" + url.removeprefix("unix") if url.startswith("unix:") else f"async+{url}"
    )
    return RedisStorage(
        scheme,
        implementation="redispy",
        key_prefix=f"{prefix}:rates",
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
