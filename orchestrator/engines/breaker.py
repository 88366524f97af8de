"""A circuit breaker: keeps calls from a server that fails, and finds out when it works again.

    closed ──failures──> open ──pause over, or found up──> half-open ──success──> closed
                           ^                                   │
                           └──────────failure, longer pause────┘

A state machine that knows no clock: whoever uses it says how late it is (``now_s``, monotonic).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class Circuit(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    """Calls go through."""
    HALF_OPEN = "half-open"
    """One call goes through, as a trial."""
    OPEN = "open"
    """None does."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, and for how long.

    It opens after ``in_row`` failures one after the other, and when ``share`` of the last
    ``window`` calls failed, once ``least`` of them are known.  It stays open for ``pause_s``, twice
    as long after each trial that fails, up to ``most_s``.
    """

    in_row: int = 5
    window: int = 20
    least: int = 10
    share: float = 0.5
    pause_s: float = 1.0
    most_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call.  What came of it counts only for the breaker's life it was given in."""

    life: int
    trial: bool


class Breaker:
    """One server's breaker.  Not for threads."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._failed: deque[bool] = deque(maxlen=self._policy.window)  # newest last
        self._state = Circuit.CLOSED
        self._until_s = 0.0
        self._pause_s = self._policy.pause_s
        self._trying = False
        self._life = 0
        self._unreachable = False

    def state(self, now_s: float) -> Circuit:
        """Where it is now."""
        if self._state is Circuit.OPEN and now_s >= self._until_s:
            return Circuit.HALF_OPEN
        return self._state

    def admits(self, now_s: float) -> bool:
        """Whether a call may begin now."""
        state = self.state(now_s)
        return state is Circuit.CLOSED or (state is Circuit.HALF_OPEN and not self._trying)

    def wait_s(self, now_s: float) -> float:
        """Seconds until asking again may help; 0 where a call may begin now."""
        if self.admits(now_s):
            return 0.0
        return max(self._until_s - now_s, 0.0) or self._policy.pause_s

    def begin(self, now_s: float) -> Permit:
        """Leave for one call, where it :meth:`admits` one."""
        state = self.state(now_s)
        if state is Circuit.CLOSED:
            return Permit(self._life, trial=False)
        if state is Circuit.HALF_OPEN and self._state is Circuit.OPEN:
            self._enter(Circuit.HALF_OPEN)
        self._trying = True
        return Permit(self._life, trial=True)

    def succeeded(self, permit: Permit) -> None:
        """The call was answered."""
        if permit.life != self._life:
            return
        if permit.trial:
            self._enter(Circuit.CLOSED)
            self._pause_s = self._policy.pause_s
        else:
            self._failed.append(False)

    def failed(self, permit: Permit, now_s: float, *, unreachable: bool = False) -> None:
        """The call failed by the server's fault; ``unreachable``: it could not even be made."""
        if permit.life != self._life:
            return
        self._unreachable = unreachable
        if permit.trial:
            self._pause_s = min(2 * self._pause_s, self._policy.most_s)
            self._open(now_s)
            return
        self._failed.append(True)
        if self._is_enough():
            self._open(now_s)

    def given_up(self, permit: Permit) -> None:
        """Nobody knows what would have come of the call: its caller went away."""
        if permit.life == self._life and permit.trial:
            self._trying = False

    def found_up(self, now_s: float) -> None:
        """The server was looked at, and answers: one that could not be reached is tried at once.

        One that answers health checks and fails calls waits out its pause.
        """
        if self.state(now_s) is Circuit.OPEN and self._unreachable:
            self._until_s = now_s

    def found_down(self, now_s: float) -> None:
        """The server was looked at, and does not answer: no call is spent on trying it."""
        if self._state is Circuit.OPEN:
            self._until_s = max(self._until_s, now_s + self._policy.pause_s)

    def _is_enough(self) -> bool:
        policy, known = self._policy, self._failed
        if len(known) >= policy.in_row and all(list(known)[-policy.in_row :]):
            return True
        return len(known) >= policy.least and sum(known) >= policy.share * len(known)

    def _open(self, now_s: float) -> None:
        self._enter(Circuit.OPEN)
        self._until_s = now_s + self._pause_s

    def _enter(self, state: Circuit) -> None:
        self._state, self._trying = state, False
        self._life += 1
        self._failed.clear()
