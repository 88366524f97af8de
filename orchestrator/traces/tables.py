"""The rows behind the why-records; only this package's stores read or write them.

A record stands in ``routes`` whole.  What it is found by stands in narrow tables beside it, all in
the order of ``moment`` (:mod:`orchestrator.traces.moments`)::

    routes.id ── route_heads.id, .moment ─┬─ route_experts.moment
                                          ├─ route_skills.moment
                                          └─ route_feedback.moment

``traffic`` and ``traffic_experts`` are sums over records by time, which stay when those are gone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, SmallInteger, Table
from sqlalchemy.orm import Mapped, mapped_column

from coterie.db import Base, CleanText
from orchestrator.traces.histogram import COSTS_USD, LATENCIES_MS

Moment = BigInteger().with_variant(Integer(), "sqlite")  # there, the key that rows are kept by


class RouteRow(Base):
    """The why-record of one request."""

    __tablename__ = "routes"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    strategy: Mapped[str]
    model: Mapped[str]
    status: Mapped[str]
    record: Mapped[dict[str, Any]]


class HeadRow(Base):
    """What a record is found by.

    Of each measure there is a band too (:mod:`orchestrator.traces.bands`): rows of one band are
    found newest first, which rows above a value are not.
    """

    __tablename__ = "route_heads"
    __table_args__ = tuple(
        Index(None, name, "moment")
        for name in (
            "strategy",
            "model",
            "outcome",
            "key",
            "agreement_band",
            "cost_band",
            "latency_band",
        )
    )

    moment: Mapped[int] = mapped_column(Moment, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(unique=True)
    strategy: Mapped[str]
    model: Mapped[str]
    outcome: Mapped[str]
    key: Mapped[str]
    agreement: Mapped[float | None]
    cost_usd: Mapped[float]
    latency_ms: Mapped[float | None]
    agreement_band: Mapped[int | None] = mapped_column(SmallInteger)
    cost_band: Mapped[int] = mapped_column(SmallInteger)
    latency_band: Mapped[int | None] = mapped_column(SmallInteger)


class RouteExpertRow(Base):
    """What part an expert had in a request (:class:`orchestrator.traces.facts.Part`)."""

    __tablename__ = "route_experts"
    __table_args__ = (
        Index(None, "expert", "part", "moment"),
        {"sqlite_with_rowid": False},
    )

    moment: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    expert: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)


class RouteSkillRow(Base):
    """A skill that a request needed."""

    __tablename__ = "route_skills"
    __table_args__ = (Index(None, "skill", "moment"), {"sqlite_with_rowid": False})

    moment: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    skill: Mapped[str] = mapped_column(primary_key=True)


class FeedbackRow(Base):
    """What somebody said of a request's answer, the last time."""

    __tablename__ = "route_feedback"
    __table_args__ = (Index(None, "verdict", "moment"),)

    route: Mapped[str] = mapped_column(primary_key=True)
    moment: Mapped[int] = mapped_column(BigInteger, index=True)
    verdict: Mapped[str]
    answer: Mapped[str | None]
    note: Mapped[str]
    given_by: Mapped[str]
    given_at: Mapped[datetime]
    item: Mapped[str]


# --- sums over records --------------------------------------------------------------------------


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _sum(name: str) -> Column[float]:
    return Column(name, Double, nullable=False)


def _histogram(name: str, edges: tuple[float, ...]) -> list[Column[int]]:
    return [_count(f"{name}_{i}") for i in range(len(edges) + 1)]


def _period() -> list[Column[int]]:
    """``seconds`` from ``start`` (a Unix time) on."""
    return [
        Column("seconds", Integer, primary_key=True, autoincrement=False),
        Column("start", BigInteger, primary_key=True, autoincrement=False),
    ]


TRAFFIC = Table(
    "traffic",
    Base.metadata,
    *_period(),
    Column("strategy", CleanText, primary_key=True),
    *map(_count, ("requests", "answered", "written", "fallbacks", "failed", "left")),
    *map(_count, ("calls", "failed_calls", "prompt_tokens", "completion_tokens")),
    *map(_count, ("timed", "compared")),
    *map(_sum, ("cost_usd", "latency_ms", "overhead_ms", "agreement")),
    *_histogram("latency", LATENCIES_MS),
    sqlite_with_rowid=False,
)
"""Requests.  ``timed`` of them have a latency, ``compared`` an agreement of several answers."""

TRAFFIC_EXPERTS = Table(
    "traffic_experts",
    Base.metadata,
    *_period(),
    Column("expert", CleanText, primary_key=True),
    Column("role", CleanText, primary_key=True),
    *map(_count, ("calls", "failures", "prompt_tokens", "completion_tokens")),
    *map(_count, ("chosen", "compared", "agreed")),
    *map(_sum, ("cost_usd", "latency_ms")),
    *_histogram("latency", LATENCIES_MS),
    *_histogram("cost", COSTS_USD),
    Index(None, "seconds", "expert", "start"),
    sqlite_with_rowid=False,
)
"""Calls to experts.  ``chosen``: what it said went out; ``agreed`` of the answers ``compared``."""
