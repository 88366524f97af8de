"""The rows behind registry and profiles; only this package's ``*_store`` modules touch them."""

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
    examples: Mapped[list[Any]]
    fusion: Mapped[dict[str, Any] | None]
    source: Mapped[str]
    enabled: Mapped[bool]
    recruit: Mapped[bool]
    endpoints: Mapped[list[Any]]
    limits: Mapped[dict[str, Any] | None]
    capabilities: Mapped[list[Any] | None]
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
    reading: Mapped[int]
    correct: Mapped[bool]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_s: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class QuestionRow(Base):
    """One profiling question, so that what was learned can be learned anew without its task.

    ``family`` is its group of variants; ``encoder`` and ``taxonomy`` say what its skills and its
    vector (float32) were made with.
    """

    __tablename__ = "questions"

    task: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    sha256: Mapped[str]
    category: Mapped[str]
    target: Mapped[str]
    options: Mapped[int]
    choices: Mapped[list[Any]]
    family: Mapped[str]
    skills: Mapped[list[Any]]
    vector: Mapped[bytes | None]
    encoder: Mapped[str | None]
    taxonomy: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class SnapshotRow(Base):
    """What was known of every expert at one time; a row is never changed."""

    __tablename__ = "snapshots"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    note: Mapped[str]
    parent: Mapped[str | None]
    answers: Mapped[int]
    encoder: Mapped[str | None]
    body: Mapped[bytes]


class ActiveSnapshotRow(Base):
    """The one snapshot that routing uses: one row, in slot 1."""

    __tablename__ = "active_snapshot"

    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(ForeignKey("snapshots.name"))


class SynonymRow(Base):
    """One keyword that is read as a skill."""

    __tablename__ = "synonyms"

    keyword: Mapped[str] = mapped_column(primary_key=True)
    skill: Mapped[str]
    similarity: Mapped[float]
    decided_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class KeywordRow(Base):
    """The keywords an LLM named for one prompt, by the prompt's hash."""

    __tablename__ = "keyword_cache"

    key: Mapped[str] = mapped_column(primary_key=True)
    keywords: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
