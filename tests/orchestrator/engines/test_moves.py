"""By which steps an engine is moved: every pair of tiers, with sleep and without."""

from __future__ import annotations

from itertools import product

import pytest

from orchestrator.engines.moves import Step, reachable, steps
from orchestrator.scheduling.residency import Tier

_LEADS_TO = {
    Step.START: Tier.AWAKE,
    Step.STOP: Tier.STOPPED,
    Step.SLEEP_1: Tier.ASLEEP_1,
    Step.SLEEP_2: Tier.ASLEEP_2,
    Step.WAKE: Tier.AWAKE,
    Step.WAKE_AND_RELOAD: Tier.AWAKE,
}
_LEAVES = {
    Step.START: {Tier.STOPPED},
    Step.STOP: {Tier.AWAKE, Tier.ASLEEP_1, Tier.ASLEEP_2},
    Step.SLEEP_1: {Tier.AWAKE},
    Step.SLEEP_2: {Tier.AWAKE},
    Step.WAKE: {Tier.ASLEEP_1},
    Step.WAKE_AND_RELOAD: {Tier.ASLEEP_2},
}


@pytest.mark.parametrize(("now", "to"), list(product(Tier, Tier)))
def test_every_tier_is_reached_from_every_other(now: Tier, to: Tier) -> None:
    at = now
    for step in steps(now, to, sleeps=True):
        assert at in _LEAVES[step]
        at = _LEADS_TO[step]
    assert at is to


@pytest.mark.parametrize(("now", "to"), list(product((Tier.STOPPED, Tier.AWAKE), Tier)))
def test_without_sleep_it_is_started_and_stopped(now: Tier, to: Tier) -> None:
    at = now
    for step in steps(now, to, sleeps=False):
        assert step in (Step.START, Step.STOP)
        at = _LEADS_TO[step]
    assert at is reachable(to, sleeps=False)
    assert at is (Tier.AWAKE if to is Tier.AWAKE else Tier.STOPPED)


def test_what_forgot_its_weights_is_never_merely_woken() -> None:
    assert steps(Tier.ASLEEP_2, Tier.AWAKE, sleeps=True) == (Step.WAKE_AND_RELOAD,)
    assert steps(Tier.ASLEEP_2, Tier.ASLEEP_1, sleeps=True)[0] is Step.WAKE_AND_RELOAD
