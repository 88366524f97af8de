"""The rows behind jobs; only this package's stores touch them.

A job's items hold what was decided for them and what came of it, never their text: that is the
task's.  Units are nobody's: whoever needs the same completion finds it there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from coterie.db import Base


class JobRow(Base):
    """One job.  ``fixed`` is what was settled when it began (snapshot, experts, versions);
    ``retry_before``: what was parked earlier than this is tried again; ``owner`` runs it now, if it
    has said so lately (``beat_at``)."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(index=True)
    spec: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(index=True)
    error: Mapped[str | None]
    fixed: Mapped[dict[str, Any] | None]
    progress: Mapped[dict[str, Any] | None]
    owner: Mapped[str | None]
    beat_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    retry_before: Mapped[datetime]
    key: Mapped[str] = mapped_column(server_default="")


class JobItemRow(Base):
    """One item of a job: ``stage`` is annotated, routed, done or parked.

    ``vector`` is the question's embedding (float32), kept until the item is done; sealed where the
    task is secret.  ``answer`` is the key of the unit whose completion is the answer; ``refusal``
    what a caller is told where there is none (HTTP status, and the error's type, param and code).
    """

    __tablename__ = "job_items"
    __table_args__ = (Index(None, "job", "stage", "position"),)

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item: Mapped[str]
    stage: Mapped[str]
    error: Mapped[str | None]
    skills: Mapped[list[Any]]
    route: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    vector: Mapped[bytes | None]
    answer: Mapped[str | None]
    refusal: Mapped[dict[str, Any] | None]


class PromptRow(Base):
    """The messages of a prompt, by their hash: JSON, or sealed JSON where the key says so."""

    __tablename__ = "prompts"

    key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[bytes]


class UnitRow(Base):
    """One completion, made or to be made.

    ``batch`` is the batch it is handed out in, from its first registration on; ``body`` is the
    completion as JSON, sealed where the key says so, and ``error`` the last try's, likewise;
    ``failed_as`` says what kind of error that was.
    """

    __tablename__ = "units"

    key: Mapped[str] = mapped_column(primary_key=True)
    expert: Mapped[str]
    prompt: Mapped[str] = mapped_column(ForeignKey("prompts.key"))
    sampling: Mapped[dict[str, Any]]
    batch: Mapped[str] = mapped_column(index=True)
    tries: Mapped[int]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    created_at: Mapped[datetime]
    parked_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    error: Mapped[str | None]
    failed_as: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None]
