"""How many requests an engine is given at a time: as many as it runs, and no queue inside it.

Pure, after the manner of TCP: more by a step while all goes well, less by a share when it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class LoadSignal(Protocol):
    """What an engine says of its load, as far as it matters here."""

    @property
    def waiting(self) -> int:
        """Requests that wait in it: ``vllm:num_requests_waiting``."""

    @property
    def kv_usage(self) -> float:
        """The share of its KV cache that is taken, in [0, 1]: ``vllm:kv_cache_usage_perc``."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """The rule.  An engine that tells nothing of its load is given ``start`` requests."""

    start: int = 32
    least: int = 1
    most: int = 256
    step: int = 8
    keep: float = 0.75
    """The share that is left after a step back."""
    kv_full: float = 0.9

    def next_limit(self, limit: int, signal: LoadSignal | None, in_flight: int) -> int:
        """The limit after one look at the engine, which has ``in_flight`` requests of ours.

        While more are in flight than allowed, an earlier step back has not taken effect yet, and
        what is seen says nothing of the limit that holds now.
        """
        if signal is None or in_flight > limit:
            return limit
        if signal.waiting > 0:
            # What it does not run can go; but a burst that just arrived waits for a moment, too.
            return max(self.least, in_flight - signal.waiting, int(limit * self.keep))
        if signal.kv_usage > self.kv_full:
            return max(self.least, int(limit * self.keep))
        return min(self.most, limit + self.step) if in_flight >= limit else limit
