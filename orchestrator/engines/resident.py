"""One managed engine and how near it is to answering: moved by one caller at a time.

Which steps a move takes is decided in ``moves``; whether there is room for it by ``residency``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from coterie.errors import EngineError, EngineUnavailable
from orchestrator.engines.gate import Gate
from orchestrator.engines.managed import ManagedVllm
from orchestrator.engines.moves import Step, reachable, steps
from orchestrator.scheduling.residency import Tier


class Resident:
    """The engine behind ``process``, through whose ``gate`` every call to it must go.

    ``on_gpu``: it can be put to sleep, unless its arguments forbid.  ``admit`` is asked before it
    rises towards AWAKE, and raises an EngineError where there is no room.  ``start_timeout_s`` is
    how long a start may take.
    """

    def __init__(
        self,
        process: ManagedVllm,
        *,
        on_gpu: bool,
        admit: Callable[[Resident], None],
        start_timeout_s: float,
    ) -> None:
        self.process = process
        self.gate = Gate()
        self.lock = asyncio.Lock()
        self._on_gpu = on_gpu
        self._admit = admit
        self._start_timeout_s = start_timeout_s
        self._tier = Tier.STOPPED
        self._ceiling = Tier.AWAKE
        self._rising = False
        self._retired = False

    @property
    def name(self) -> str:
        """The base expert it serves."""
        return self.process.spec.name

    @property
    def tier(self) -> Tier:
        """Where it is; during a move the lower of its two ends.  One that died is STOPPED."""
        if self.process.pid is None:
            return Tier.STOPPED
        return min(self._tier, self._ceiling)

    @property
    def occupies(self) -> bool:
        """Whether it takes the place of one that is up, or is about to."""
        return self._rising or self.tier is Tier.AWAKE

    @property
    def sleeps(self) -> bool:
        """Whether it can be put to sleep."""
        return self.process.spec.sleeps(self._on_gpu)

    def replace(self, process: ManagedVllm) -> None:
        """From now on it is ``process``, which does not run yet; to be called under the lock."""
        self.process, self._tier = process, Tier.STOPPED

    def retire(self) -> None:
        """It is no longer in the fleet: whoever still waits to move it learns so."""
        self._retired = True

    async def move(self, tier: Tier) -> None:
        """Brings it to ``tier`` once it answers nothing; calls that come meanwhile are refused.

        Raises:
            EngineError: a step failed; :attr:`tier` says where it is now.
        """
        async with self.lock:
            if self._retired:
                raise EngineUnavailable(self.name, "it is no longer in the fleet; register it")
            if not steps(self.tier, tier, sleeps=self.sleeps):
                return
            reason = f"its engine is on its way to {tier.name}; ask again shortly"
            async with self.gate.closed(reason):
                await self._go(reachable(tier, sleeps=self.sleeps))

    async def _go(self, to: Tier) -> None:
        todo = steps(self.tier, to, sleeps=self.sleeps)
        try:
            if to > self.tier or len(todo) > 1:
                self._admit(self)
                self._rising = True
            self._ceiling = to
            for step in todo:
                await self._take(step)
        finally:
            self._rising, self._ceiling = False, Tier.AWAKE

    async def _take(self, step: Step) -> None:
        try:
            await _DOING[step](self)
        except BaseException:
            await _to_the_end(self._settle(after=step))
            raise

    async def _start(self) -> None:
        self._tier = Tier.STOPPED
        await self.process.stop()  # what is left of one that died
        self.process.start()
        await self.process.wait_ready(self._start_timeout_s)
        self._tier = Tier.AWAKE

    async def _stop(self) -> None:
        await self.process.stop()
        self._tier = Tier.STOPPED

    async def _sleep(self, tier: Tier) -> None:
        await self.process.control.sleep(level=1 if tier is Tier.ASLEEP_1 else 2)
        self._tier = tier

    async def _wake(self) -> None:
        self._now_awake(await self.process.control.wake())

    async def _wake_and_reload(self) -> None:
        """vLLM schedules nothing before the KV cache wakes: nobody is answered without weights.

        Each part may be repeated after a failure in a later one.
        """
        control = self.process.control
        await control.wake("weights")
        await control.reload_weights()
        await control.reset_prefix_cache()
        self._now_awake(await control.wake("kv_cache"))

    def _now_awake(self, awake: bool) -> None:
        if not awake:
            raise EngineUnavailable(
                self.name, "its engine was woken and sleeps still; move it again, or stop it"
            )
        self._tier = Tier.AWAKE

    async def _settle(self, *, after: Step) -> None:
        """Finds out where it is after a failed or abandoned step.

        Stopped is an engine that is not up, cannot say whether it sleeps, or failed to fall asleep:
        vLLM may have given memory back then without knowing, and would wake to talk gibberish.
        """
        if after in (Step.WAKE, Step.WAKE_AND_RELOAD) and self.process.ready:
            with contextlib.suppress(EngineError):
                if not await self.process.control.is_sleeping():
                    self._tier = Tier.AWAKE
                return
        if self._tier is not _RESULT[after]:
            await self._stop()


_DOING: Mapping[Step, Callable[[Resident], Coroutine[Any, Any, None]]] = {
    Step.START: lambda resident: resident._start(),
    Step.STOP: lambda resident: resident._stop(),
    Step.SLEEP_1: lambda resident: _to_the_end(resident._sleep(Tier.ASLEEP_1)),
    Step.SLEEP_2: lambda resident: _to_the_end(resident._sleep(Tier.ASLEEP_2)),
    Step.WAKE: lambda resident: _to_the_end(resident._wake()),
    Step.WAKE_AND_RELOAD: lambda resident: _to_the_end(resident._wake_and_reload()),
}
_RESULT: Mapping[Step, Tier] = {
    Step.START: Tier.AWAKE,
    Step.STOP: Tier.STOPPED,
    Step.SLEEP_1: Tier.ASLEEP_1,
    Step.SLEEP_2: Tier.ASLEEP_2,
    Step.WAKE: Tier.AWAKE,
    Step.WAKE_AND_RELOAD: Tier.AWAKE,
}


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Waits for ``work`` even where this wait is cancelled: a request sent cannot be unsent."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the cancellation is what the caller hears of
        raise
