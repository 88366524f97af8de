"""What a key may spend in a period, and what is held back for calls that are not over.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Unit = Literal["usd", "tokens"]
Period = Literal["hour", "day", "week", "month"]
UNITS: tuple[Unit, ...] = get_args(Unit)
PERIODS: tuple[Period, ...] = get_args(Period)


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls took: US dollars, and tokens of prompts and completions together."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.usd + other.usd, self.tokens + other.tokens)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.usd - other.usd, self.tokens - other.tokens)

    def __bool__(self) -> bool:
        return bool(self.usd or self.tokens)

    def at(self, unit: Unit) -> float:
        """The amount in ``unit``."""
        return self.usd if unit == "usd" else float(self.tokens)


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``amount`` of ``unit`` in each ``period``, which begins by the calendar in UTC: at
    the full hour, at midnight, on Monday, on the first."""

    amount: float
    unit: Unit
    period: Period

    def __str__(self) -> str:
        amount = f"${self.amount:g}" if self.unit == "usd" else f"{self.amount:,.0f} tokens"
        return f"{amount} a {self.period}"

    def fits(self, spent: Spent, held: Spent, wanted: Spent) -> bool:
        """Whether ``wanted`` may be held besides what was spent and is held already."""
        taken = spent.at(self.unit) + held.at(self.unit)
        # A budget that is used up allows nothing, not even what is thought to cost nothing.
        return taken < self.amount and taken + wanted.at(self.unit) <= self.amount


def began(period: Period, now: datetime) -> datetime:
    """When the period began that ``now`` is in."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if period == "hour":
        return hour
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1)


def ends(period: Period, now: datetime) -> datetime:
    """When the next period begins."""
    start = began(period, now)
    lengths = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
    if period == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + lengths[period]
