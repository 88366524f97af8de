"""Time for engine tests: the machine's, or a hand that is moved."""

from __future__ import annotations

import time
from dataclasses import dataclass


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


@dataclass
class HandClock:
    """Stands still until it is moved."""

    now_s: float = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s
