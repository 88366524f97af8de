"""How many requests an engine is given."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.scheduling.pressure import Pressure


@dataclass(frozen=True)
class Load:
    waiting: int = 0
    kv_usage: float = 0.0


RULE = Pressure()


def test_it_grows_step_by_step_while_the_engine_takes_all() -> None:
    assert RULE.next_limit(32, Load(), 32) == 40


def test_it_does_not_grow_beyond_what_is_used() -> None:
    assert RULE.next_limit(32, Load(), 20) == 32


def test_it_shrinks_to_what_the_engine_runs_but_not_by_more_than_a_quarter_at_once() -> None:
    assert RULE.next_limit(40, Load(waiting=5), 40) == 35
    assert RULE.next_limit(40, Load(waiting=40), 40) == 30


def test_it_shrinks_when_the_cache_is_nearly_full() -> None:
    assert RULE.next_limit(40, Load(kv_usage=0.95), 20) == 30


def test_it_does_not_shrink_again_before_the_last_time_has_shown() -> None:
    assert RULE.next_limit(30, Load(waiting=40), 38) == 30


def test_it_keeps_where_the_engine_tells_nothing() -> None:
    assert RULE.next_limit(32, None, 32) == 32


@given(st.integers(1, 300), st.integers(1, 256))
def test_it_settles_where_the_engine_is_full_and_nobody_waits_long(seats: int, start: int) -> None:
    limit = start
    for _ in range(100):  # there is always more to do
        limit = RULE.next_limit(limit, Load(waiting=max(0, limit - seats)), limit)
    most = min(seats, RULE.most)
    assert most * RULE.keep - 1 <= limit <= most + RULE.step


@given(st.integers(1, 256), st.integers(0, 500), st.floats(0, 1), st.integers(0, 300))
def test_it_stays_within_its_bounds(
    limit: int, waiting: int, kv_usage: float, in_flight: int
) -> None:
    found = RULE.next_limit(limit, Load(waiting, kv_usage), in_flight)
    assert RULE.least <= found <= RULE.most
