"""Requests of a simulation, and those of them that wait."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.scheduling.situation import Demand


@dataclass(frozen=True, slots=True)
class Request:
    """One completion of ``tokens`` that ``expert`` is to make, of one question."""

    id: int
    expert: str
    tokens: float
    arrives_s: float = 0.0
    online: bool = False
    bound_s: float = math.inf
    question: int = 0


class Waiting:
    """Requests that have arrived and are not begun: first in, first out for each expert."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, bool], deque[Request]] = {}
        self._tokens: dict[tuple[str, bool], float] = {}

    def add(self, request: Request) -> None:
        """At the end of its expert's queue."""
        at = (request.expert, request.online)
        self._queues.setdefault(at, deque()).append(request)
        self._tokens[at] = self._tokens.get(at, 0.0) + request.tokens

    def take(self, expert: str, online: bool, units: int) -> list[Request]:
        """The oldest ``units`` of the expert's."""
        at = (expert, online)
        queue = self._queues[at]
        taken = [queue.popleft() for _ in range(min(units, len(queue)))]
        self._tokens[at] -= sum(request.tokens for request in taken)
        return taken

    def demand(self, now_s: float) -> tuple[Demand, ...]:
        """What waits, as the planner sees it: of lengths it knows the mean."""
        return tuple(
            Demand(
                expert,
                len(queue),
                self._tokens[expert, online] / len(queue),
                now_s - queue[0].arrives_s,
                online,
                queue[0].bound_s,
            )
            for (expert, online), queue in self._queues.items()
            if queue
        )

    def head(self) -> Request | None:
        """The oldest of all."""
        heads = (queue[0] for queue in self._queues.values() if queue)
        return min(heads, key=lambda r: (r.arrives_s, r.id), default=None)


def in_order(requests: Iterable[Request]) -> deque[Request]:
    """As they arrive."""
    return deque(sorted(requests, key=lambda r: (r.arrives_s, r.id)))
