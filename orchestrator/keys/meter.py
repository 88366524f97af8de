"""What a call may take: rates and budget before it, what it took after it.

::

    admit ──rates──> ──hold what it may cost──> Pass ──the call──> settle ──behind──> ledger

Callers without limits pass untouched, from memory.  What calls took is written behind, in batches,
and told again until the database has taken it; what is held for them stands until then, so that
nothing is spent twice.  While the database is away, keys with a budget go on by what this process
knows of it, or are refused (``COTERIE_LIMITS_WHEN_AWAY``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from coterie.db import utcnow
from coterie.errors import QuotaExceeded, StoreUnavailable
from orchestrator.keys.budget import Budget, Spent, began, ends
from orchestrator.keys.key import ApiKey, Caller
from orchestrator.keys.ledger_store import Settled, Standing
from orchestrator.keys.rates import RateCounter, Window
from orchestrator.observability import catalogue
from orchestrator.observability.metrics import Metrics

log = logging.getLogger(__name__)

HELD = timedelta(hours=1)
"""How long what is held for a call counts whose process died."""
PRUNE_EVERY_S = 3600.0
WRITE_S = 0.2
RETRY_S = 2.0
WRITTEN = 500
"""Calls in one transaction, at most."""
WAITING = 100_000
"""Calls that wait to be written, at most."""


class Ledger(Protocol):
    """Where spending is kept; see :class:`orchestrator.keys.ledger_store.LedgerStore`."""

    async def hold(
        self,
        id: str,
        key: str,
        budget: Budget | None,
        wanted: Sequence[Spent],
        now: datetime,
        ttl: timedelta,
    ) -> Standing: ...

    async def settle(self, settled: Sequence[Settled]) -> None: ...

    async def prune(self, now: datetime) -> None: ...


@dataclass(slots=True)
class Pass:
    """Leave for one call; ``headers`` tell how the key's limits stand.

    Settled once, however the call ends; one that is not settled at all is held until it lapses.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    _settle: Callable[[Spent], None] | None = None

    @property
    def counts(self) -> bool:
        """Whether anybody wants to know what the call takes."""
        return self._settle is not None

    def settle(self, spent: Spent) -> None:
        """The call is over, and took ``spent``.  Never waits, never raises."""
        settle, self._settle = self._settle, None
        if settle:
            settle(spent)


@dataclass(slots=True)
class _Remembered:
    """What is known of a key's period while the database is away: at least so much is taken."""

    since: datetime
    taken: Spent


class Meter:
    """Lets calls in and counts what they take."""

    def __init__(
        self,
        rates: RateCounter,
        ledger: Ledger,
        *,
        closed: bool = False,
        now: Callable[[], datetime] = utcnow,
        metrics: Metrics | None = None,
    ) -> None:
        self._rates = rates
        self._ledger = ledger
        self._closed = closed
        self._now = now
        self._known: dict[str, _Remembered] = {}
        self._waiting: deque[Settled] = deque()
        self._wake = asyncio.Event()
        self._adding: set[asyncio.Task[None]] = set()
        self.dropped = 0
        self._metrics = metrics or Metrics()

    # --- before and after a call ----------------------------------------------------------------

    async def admit(
        self, id: str, caller: Caller, prompt: Callable[[], int], most: Callable[[int], Spent]
    ) -> Pass:
        """Leave for the call of that id, whose prompt has ``prompt()`` tokens, and which may take
        ``most`` of what that leads to; neither is looked at where the caller has no limits.

        Raises:
            RateExceeded: too many requests or tokens in this minute.
            QuotaExceeded: it may cost more than is left of the key's budget.
            StoreUnavailable: that cannot be found out, and limits are closed then.
        """
        key = caller.key
        if key is None:
            return Pass()
        tokens = prompt() if key.rates or key.budget else 0
        windows = await self._rates.admit(key, tokens) if key.rates else ()
        held = bool(key.budget) and await self._hold(id, key, key.budget, most(tokens))
        at = self._now()

        def settle(spent: Spent) -> None:
            self._over(Settled(id, key.id, spent, at, held))
            if key.rates.tokens is not None and spent.tokens > tokens:
                self._add(key, spent.tokens - tokens)

        return Pass(_headers(windows), settle)

    async def count(self, caller: Caller) -> Mapping[str, str]:
        """Counts a request that asks no expert; raises RateExceeded, and returns headers."""
        windows = await self._rates.admit(caller.key, 0) if caller.key and caller.key.rates else ()
        return _headers(windows)

    async def _hold(self, id: str, key: ApiKey, budget: Budget | None, wanted: Spent) -> bool:
        """Whether something is held under ``id``."""
        assert budget is not None
        now = self._now()
        try:
            found = await self._ledger.hold(id, key.id, budget, [wanted], now, HELD)
        except StoreUnavailable as error:
            if self._closed:
                raise StoreUnavailable(
                    f"the budget of the key {key.name!r} cannot be looked at, as {error}"
                ) from error
            self._hold_by_memory(key, budget, wanted, now)
            return False
        self._known[key.id] = _Remembered(began(budget.period, now), found.spent + found.held)
        if not found.fits[0]:
            raise exceeded(key, budget, found.spent, found.held, wanted, now)
        return True

    def _hold_by_memory(self, key: ApiKey, budget: Budget, wanted: Spent, now: datetime) -> None:
        """While the database is away: by what this process last saw, and has let in since."""
        since = began(budget.period, now)
        known = self._known.get(key.id)
        taken = known.taken if known and known.since == since else Spent()
        if not budget.fits(taken, Spent(), wanted):
            raise exceeded(key, budget, taken, Spent(), wanted, now)
        self._known[key.id] = _Remembered(since, taken + wanted)

    # --- writing --------------------------------------------------------------------------------

    def _over(self, settled: Settled) -> None:
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.dropped += 1
            self._metrics.count(catalogue.SPENDING_LOST)
            if self.dropped % 1000 == 1:
                log.error("spending of %d call(s) is lost: the database is away", self.dropped)
        self._waiting.append(settled)
        self._wake.set()

    def _add(self, key: ApiKey, tokens: int) -> None:
        task = asyncio.ensure_future(self._rates.add(key, tokens))
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    async def keep_written(self) -> None:
        """Writes what calls took, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(WRITE_S)
            while self._waiting:
                try:
                    await self.write()
                except Exception as error:
                    log.warning("spending of %d call(s) waits: %s", len(self._waiting), error)
                    await asyncio.sleep(RETRY_S)

    async def keep_pruned(self, every_s: float = PRUNE_EVERY_S) -> None:
        """Deletes for ever what processes held that died long ago."""
        while True:
            try:
                await self._ledger.prune(self._now())
            except Exception as error:
                log.warning("what was held is not pruned: %s", error)
            await asyncio.sleep(every_s)

    async def write(self) -> None:
        """Writes what calls took so far."""
        while self._waiting:
            part = [self._waiting[i] for i in range(min(WRITTEN, len(self._waiting)))]
            await self._ledger.settle(part)
            for _ in part:
                self._waiting.popleft()

    async def aclose(self) -> None:
        """Writes what is left, if the database takes it now."""
        with suppress(Exception):
            async with asyncio.timeout(3.0):
                await asyncio.gather(*self._adding, return_exceptions=True)
                await self.write()
        if self._waiting:
            log.error("spending of %d call(s) is lost: the database is away", len(self._waiting))
        await self._rates.aclose()


def _headers(windows: Iterable[Window]) -> Mapping[str, str]:
    return {name: value for w in windows for name, value in w.headers.items()}


def exceeded(
    key: ApiKey, budget: Budget, spent: Spent, held: Spent, wanted: Spent, now: datetime
) -> QuotaExceeded:
    """The error of a call that the budget does not hold."""
    until = ends(budget.period, now)
    told = (
        f"the key {key.name!r} may spend {budget}: {_amount(spent, budget)} are spent and "
        f"{_amount(held, budget)} held for calls that are not over; this one may take "
        f"{_amount(wanted, budget)}"
    )
    step = f"lower max_tokens, wait until {until:%Y-%m-%d %H:%M} UTC, or have the budget raised"
    return QuotaExceeded(f"{told}: {step}", retry_after_s=(until - now).total_seconds())


def _amount(spent: Spent, budget: Budget) -> str:
    return f"${spent.usd:.4g}" if budget.unit == "usd" else f"{spent.tokens:,} tokens"
