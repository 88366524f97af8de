"""The rows behind keys, their spending and the audit log; only this package's stores touch them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from coterie.db import Base


class ApiKeyRow(Base):
    """A key, whose text is kept nowhere: ``digest`` is its SHA-256.  Every change of what it may do
    counts ``version`` up."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    version: Mapped[int]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    experts: Mapped[list[Any]]
    strategies: Mapped[list[Any]]
    budget: Mapped[dict[str, Any] | None]
    rates: Mapped[dict[str, Any]]
    contents: Mapped[str]


class KeySpendingRow(Base):
    """What a key has spent in the hour that began at ``hour``; periods are sums of hours."""

    __tablename__ = "key_spending"

    key: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    usd: Mapped[float]
    tokens: Mapped[int] = mapped_column(BigInteger)
    calls: Mapped[int] = mapped_column(BigInteger)


class KeyHoldRow(Base):
    """What is held back for a request or a job that is not over.

    ``spent_*`` is what of it was counted as spent already (a job's, step by step).  A hold whose
    process died counts until ``expires_at``.
    """

    __tablename__ = "key_holds"
    __table_args__ = (Index(None, "key", "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str]
    usd: Mapped[float]
    tokens: Mapped[int] = mapped_column(BigInteger)
    spent_usd: Mapped[float]
    spent_tokens: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class AuditRow(Base):
    """One change: who (``caller``, and what it was called then) did what to what, and when."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    caller: Mapped[str]
    name: Mapped[str]
    action: Mapped[str] = mapped_column(index=True)
    target: Mapped[str]
    detail: Mapped[dict[str, Any]]
