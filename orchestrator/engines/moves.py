"""By which steps an engine comes from one tier to another.  Pure.

::

              start                  sleep
    STOPPED ────────> AWAKE  <────────────────> ASLEEP_1
       ^                ^         wake, or for level 2:
       │ stop           └──────────────────────> ASLEEP_2
    any tier               weights, reload, reset, KV cache

From one level of sleep to the other it goes through AWAKE: vLLM ignores an engine's second sleep.
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.scheduling.residency import Tier


class Step(StrEnum):
    """One thing done to an engine."""

    START = "start"
    STOP = "stop"
    SLEEP_1 = "sleep at level 1"
    SLEEP_2 = "sleep at level 2"
    WAKE = "wake"
    WAKE_AND_RELOAD = "wake and reload"


_UP = {
    Tier.STOPPED: (Step.START,),
    Tier.ASLEEP_1: (Step.WAKE,),
    Tier.ASLEEP_2: (Step.WAKE_AND_RELOAD,),
    Tier.AWAKE: (),
}
_DOWN = {Tier.AWAKE: (), Tier.ASLEEP_1: (Step.SLEEP_1,), Tier.ASLEEP_2: (Step.SLEEP_2,)}


def reachable(tier: Tier, *, sleeps: bool) -> Tier:
    """``tier``, or STOPPED in the place of sleep where the engine has none."""
    return tier if sleeps or tier is Tier.AWAKE else Tier.STOPPED


def steps(now: Tier, to: Tier, *, sleeps: bool) -> tuple[Step, ...]:
    """What brings an engine from ``now`` to ``to``; ``sleeps``: whether it can be put to sleep."""
    to = reachable(to, sleeps=sleeps)
    if to == now:
        return ()
    if to is Tier.STOPPED:
        return (Step.STOP,)
    return (*_UP[now], *_DOWN[to])
