"""Periods begin by the calendar, in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.keys.budget import PERIODS, Budget, Period, Spent, began, ends

AT = datetime(2026, 11, 26, 13, 45, 59, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("period", "first", "next_"),
    [
        ("hour", datetime(2026, 11, 26, 13, tzinfo=UTC), datetime(2026, 11, 26, 14, tzinfo=UTC)),
        ("day", datetime(2026, 11, 26, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC)),
        ("week", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        ("month", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_period_is_the_calendars(period: Period, first: datetime, next_: datetime) -> None:
    assert began(period, AT) == first
    assert ends(period, AT) == next_


def test_the_zone_of_a_clock_does_not_matter() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=13)))
    assert began("day", elsewhere) == began("day", AT)


@given(
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1990, 1, 1)), st.sampled_from(PERIODS)
)
def test_periods_follow_one_another_without_a_gap(now: datetime, period: Period) -> None:
    start, end = began(period, now), ends(period, now)
    assert start <= now < end
    assert began(period, end) == end
    assert began(period, end - timedelta(microseconds=1)) == start


def test_what_is_held_counts_like_what_is_spent() -> None:
    budget = Budget(10, "usd", "day")
    assert budget.fits(Spent(4), Spent(3), Spent(3))
    assert not budget.fits(Spent(4), Spent(3), Spent(3.01))


def test_a_budget_that_is_used_up_allows_nothing_not_even_what_is_free() -> None:
    assert not Budget(10, "usd", "day").fits(Spent(10), Spent(), Spent())
    assert not Budget(0, "tokens", "day").fits(Spent(), Spent(), Spent())
