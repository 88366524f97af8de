"""When a child process that died is started again.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Exponential back-off between ``base_delay_s`` and ``max_delay_s``.

    ``max_deaths`` within ``window_s`` end it.  A child that was healthy for ``healthy_s`` before
    it died starts with a clean slate.
    """

    base_delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_deaths: int = 5
    window_s: float = 900.0
    healthy_s: float = 60.0

    def delay_s(self, deaths: Sequence[float]) -> float | None:
        """Seconds to wait before the next start; None: give up.

        ``deaths`` are times in seconds, oldest first, the last one just now.
        """
        recent = sum(death > deaths[-1] - self.window_s for death in deaths)
        if recent >= self.max_deaths:
            return None
        return min(self.max_delay_s, self.base_delay_s * 2.0 ** min(recent - 1, 60))

    def forgives(self, healthy_since_s: float | None, died_s: float) -> bool:
        """Whether earlier deaths no longer count, as the child was healthy for long enough."""
        return healthy_since_s is not None and died_s - healthy_since_s >= self.healthy_s


NEVER = RestartPolicy(max_deaths=1)
"""A child that died stays down until somebody starts it: who counts memory must know of it."""
