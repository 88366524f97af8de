"""One server of an expert: what it has to do, how it is, and whether it is asked at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from coterie.errors import (
    EngineError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    Unreachable,
)
from coterie.ports import Clock
from orchestrator.engines.balance import Standing
from orchestrator.engines.breaker import Breaker, BreakerPolicy, Circuit
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.retry import ReadTimeout
from orchestrator.engines.signals import LoadSignal
from orchestrator.engines.target import Target

_NEWS_S: Final = 10.0
"""How long what a server said of its load is believed."""
_MOST_REST_S: Final = 60.0
"""The longest a server is left alone because it asked to be."""
_DENIED: Final = (401, 403)


class Replica:
    """The server at ``target``, asked through ``engine``."""

    def __init__(
        self, target: Target, engine: OpenAIEngine, clock: Clock, policy: BreakerPolicy | None
    ) -> None:
        self.target = target
        self.engine = engine
        self.in_flight = 0
        self._clock = clock
        self._breaker = Breaker(policy)
        self._signal: tuple[float, LoadSignal, int] | None = None  # when, what, own calls then
        self._rests_until_s = 0.0
        self._ails = False
        self.trouble = ""
        """What went wrong the last time, in words."""

    @property
    def circuit(self) -> Circuit:
        """Where its breaker is."""
        return self._breaker.state(self._clock.monotonic())

    @property
    def admits(self) -> bool:
        """Whether a call may go there now."""
        return self._breaker.admits(self._clock.monotonic())

    @property
    def wait_s(self) -> float:
        """Seconds until a call may; 0: now."""
        return self._breaker.wait_s(self._clock.monotonic())

    @property
    def standing(self) -> Standing:
        """How it stands when a call is to be given to somebody."""
        now_s = self._clock.monotonic()
        ready = not self._ails and now_s >= self._rests_until_s
        url, signal = self.target.base_url, self._signal
        if signal is None or now_s - signal[0] > _NEWS_S:
            return Standing(url, self.in_flight, ready=ready)
        _, said, own = signal
        others = max(0, said.running + said.waiting - own)
        return Standing(url, self.in_flight, others, said.kv_usage, ready)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """One call, where it ``admits`` one; what came of it is told to the breaker."""
        permit = self._breaker.begin(self._clock.monotonic())
        self.in_flight += 1
        try:
            yield
        except EngineError as error:
            if is_its_fault(error):
                self._failed_with(error)
                unreachable = isinstance(error, Unreachable) or _no_connection(error)
                now_s = self._clock.monotonic()
                self._breaker.failed(permit, now_s, unreachable=unreachable)
            else:
                self._breaker.succeeded(permit)
            raise
        except BaseException:
            self._breaker.given_up(permit)
            raise
        else:
            self._ails = False
            self._breaker.succeeded(permit)
        finally:
            self.in_flight -= 1

    def looked_at(self, ok: bool, signal: LoadSignal | None = None) -> None:
        """What a look at the server found."""
        now_s = self._clock.monotonic()
        self._ails = not ok
        if signal:
            self._signal = now_s, signal, self.in_flight
        (self._breaker.found_up if ok else self._breaker.found_down)(now_s)

    def _failed_with(self, error: EngineError) -> None:
        self.trouble = str(error)
        wish_s = error.retry_after_s if isinstance(error, EngineUnavailable) else None
        if wish_s:
            self._rests_until_s = self._clock.monotonic() + min(wish_s, _MOST_REST_S)


def is_its_fault(error: EngineError) -> bool:
    """Whether the server failed, and not the request: one that denies our key fails everybody."""
    return not isinstance(error, EngineRejected) or error.status in _DENIED


def _no_connection(error: EngineError) -> bool:
    return isinstance(error, EngineTimeout) and not isinstance(error, ReadTimeout)
