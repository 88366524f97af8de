"""An event loop whose time is virtual: where nothing is left to do, the next timer is due.

Only for what happens inside the process: nobody outside lives in that time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its :meth:`time` stands still while there is work, and jumps where there is none."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now_s


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout is None:
            raise AssertionError("everybody waits for somebody: this would hang for ever")
        if not found and timeout:
            self._loop.now_s += timeout
        return found


class LoopClock:
    """The running loop's time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        return self.monotonic()


def run(work: Coroutine[Any, Any, T], *, at_most_s: float = 5_000.0) -> T:
    """What ``work`` returns, in virtual time; TimeoutError after ``at_most_s`` of it."""

    async def bounded() -> T:
        async with asyncio.timeout(at_most_s):
            return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())
