"""The row behind a why-record; only :mod:`orchestrator.traces.store` reads or writes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from coterie.db import Base


class RouteRow(Base):
    """The why-record of one request; what lists and prunes them stands in columns of its own."""

    __tablename__ = "routes"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    strategy: Mapped[str]
    model: Mapped[str]
    status: Mapped[str]
    record: Mapped[dict[str, Any]]
