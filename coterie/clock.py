"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's time, as :class:`coterie.ports.Clock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()
