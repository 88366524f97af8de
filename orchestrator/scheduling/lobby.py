"""Where requests wait whose engine may not be up, and are counted once it answers them.

    seat ──> waits ── admit ──> inside ──> left
               └───── refuse ──> the error that was given

Decides nothing: whoever moves the engines sees who waits, and says who may go in.  A request that
is inside keeps its engine from being moved.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from coterie.clock import SystemClock
from coterie.errors import EngineError, EngineUnavailable
from coterie.ports import Clock


@dataclass(frozen=True, slots=True)
class Party:
    """Those who wait for one expert: ``units`` of them, the first for ``waited_s``.

    ``online``: somebody waits for the answer; otherwise it is work like a batch's.
    """

    expert: str
    units: int
    waited_s: float
    online: bool = True


@dataclass(eq=False, slots=True)
class _Ticket:
    expert: str
    online: bool
    since_s: float
    let_in: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    inside: bool = False


class Lobby:
    """One process's waiting requests.  Not for threads: one event loop.

    ``most_s`` is how long one may wait at all, in seconds.  ``notice`` is called when somebody has
    come or gone; ``closed`` has the experts that nobody can be let in to now, and why.
    """

    def __init__(self, clock: Clock | None = None, *, most_s: float = 600.0) -> None:
        self.notice: Callable[[], None] = lambda: None
        self.closed: Mapping[str, EngineError] = {}
        self._clock = clock or SystemClock()
        self._most_s = most_s
        self._waiting: defaultdict[str, list[_Ticket]] = defaultdict(list)
        self._inside: Counter[str] = Counter()

    @asynccontextmanager
    async def seat(self, expert: str, *, online: bool = True) -> AsyncIterator[None]:
        """Enters when the expert's engine is up and stays so until it is left.

        Raises:
            EngineUnavailable: that took too long, or the engine is given up for now.
        """
        ticket = _Ticket(expert, online, self._clock.monotonic())
        self._waiting[expert].append(ticket)
        self.notice()
        try:
            await self._let_in(ticket)
            yield
        finally:
            self._leave(ticket)

    async def _let_in(self, ticket: _Ticket) -> None:
        try:
            async with asyncio.timeout(self._most_s):
                await ticket.let_in
        except TimeoutError:
            raise EngineUnavailable(
                ticket.expert,
                f"its engine was not up after {self._most_s:.0f} s: others had its place, or it "
                "takes longer to load (COTERIE_START_TIMEOUT_S); try again later",
                retry_after_s=30.0,
            ) from None

    def _leave(self, ticket: _Ticket) -> None:
        if ticket.inside:
            self._inside[ticket.expert] -= 1
        elif ticket in self._waiting[ticket.expert]:
            self._waiting[ticket.expert].remove(ticket)
        self.notice()

    # --- for whoever moves the engines ----------------------------------------------------------

    def parties(self) -> tuple[Party, ...]:
        """Who waits, by expert; online requests and others apart."""
        now_s = self._clock.monotonic()
        return tuple(
            Party(expert, len(some), now_s - some[0].since_s, online)
            for expert, tickets in sorted(self._waiting.items())
            for online in (True, False)
            if (some := [t for t in tickets if t.online is online])
        )

    def inside(self, expert: str) -> int:
        """How many requests the expert answers that came through here."""
        return self._inside[expert]

    def admit(self, expert: str, *, online: bool) -> int:
        """Lets everybody in who waits for the expert; how many that were."""
        some = [t for t in self._waiting[expert] if t.online is online and not t.let_in.done()]
        for ticket in some:
            ticket.inside = True
            ticket.let_in.set_result(None)
            self._waiting[expert].remove(ticket)
        self._inside[expert] += len(some)
        return len(some)

    def refuse(self, expert: str, error: EngineError) -> None:
        """Sends everybody away who waits for the expert, with the error."""
        for ticket in self._waiting.pop(expert, []):
            if not ticket.let_in.done():
                ticket.let_in.set_exception(
                    EngineUnavailable(expert, f"its engine does not start: {error}")
                )
