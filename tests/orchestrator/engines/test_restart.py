"""When a dead child is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.restart import RestartPolicy

POLICY = RestartPolicy(base_delay_s=1, max_delay_s=6, max_deaths=5, window_s=100, healthy_s=10)


def test_waits_double_up_to_the_maximum_and_then_it_gives_up() -> None:
    deaths = [0.0, 1.0, 2.0, 3.0, 4.0]
    delays = [POLICY.delay_s(deaths[:count]) for count in range(1, 6)]
    assert delays == [1, 2, 4, 6, None]


def test_deaths_outside_the_window_are_forgotten() -> None:
    assert POLICY.delay_s([0.0, 1.0, 2.0, 3.0, 200.0]) == 1


def test_only_a_long_healthy_life_wipes_the_slate() -> None:
    assert POLICY.forgives(0.0, 10.0)
    assert not POLICY.forgives(0.0, 9.9)
    assert not POLICY.forgives(None, 1e9)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30).map(sorted))
def test_every_wait_is_within_bounds(deaths: list[float]) -> None:
    delay_s = POLICY.delay_s(deaths)
    assert delay_s is None or POLICY.base_delay_s <= delay_s <= POLICY.max_delay_s
