"""The rows behind the registry and the profiles; only :mod:`skills.store` reads or writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from coterie.db import Base, utcnow


class ExpertRow(Base):
    """One expert.

    ``enabled`` is what its owner says (the file or the API), ``switched_off`` an administrator's
    veto, which outlives a refresh from the file: the expert works if enabled and not switched off.
    """

    __tablename__ = "experts"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    model: Mapped[str]
    endpoint: Mapped[str | None]
    base: Mapped[str | None]
    adapter: Mapped[str | None]
    description: Mapped[str]
    context_length: Mapped[int | None]
    total_params_b: Mapped[float | None]
    active_params_b: Mapped[float | None]
    prompt_price: Mapped[float]
    completion_price: Mapped[float]
    api_key_env: Mapped[str | None]
    defaults: Mapped[dict[str, Any]]
    engine_args: Mapped[dict[str, Any]]
    tags: Mapped[list[Any]]
    source: Mapped[str]
    enabled: Mapped[bool]
    switched_off: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class GradedAnswerRow(Base):
    """The last graded answer of one expert to one item of one task."""

    __tablename__ = "graded_answers"
    __table_args__ = (UniqueConstraint("expert", "task", "item"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str]
    expert: Mapped[str] = mapped_column(ForeignKey("experts.name", ondelete="CASCADE"))
    task: Mapped[str]
    item: Mapped[str]
    skills: Mapped[list[Any]]
    output: Mapped[str]
    extracted: Mapped[str | None]
    correct: Mapped[bool]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_s: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class EstimateRow(Base):
    """One expert's probability of success at one skill; the skill ``*`` is everything."""

    __tablename__ = "estimates"

    expert: Mapped[str] = mapped_column(
        ForeignKey("experts.name", ondelete="CASCADE"), primary_key=True
    )
    skill: Mapped[str] = mapped_column(primary_key=True)
    mean: Mapped[float]
    sd: Mapped[float]
    n: Mapped[float]
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
