"""The rows behind files and batches; only this package's stores touch them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from coterie.db import Base


class FileRow(Base):
    """A file; one that is not ``ready`` is still being written, and nobody sees it."""

    __tablename__ = "files"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    ready: Mapped[bool]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    key: Mapped[str] = mapped_column(server_default="")


class FileChunkRow(Base):
    """A piece of a file's contents, numbered from 0."""

    __tablename__ = "file_chunks"

    file: Mapped[str] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[bytes]


class BatchRow(Base):
    """A batch; ``times`` are seconds since the epoch, by state; ``owner`` works on it now, if it
    has said so lately (``beat_at``).  Files are named, not referred to: they may be deleted."""

    __tablename__ = "batches"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    input_file: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    meta: Mapped[dict[str, Any]]
    output_ttl_s: Mapped[int | None]
    times: Mapped[dict[str, Any]]
    counts: Mapped[dict[str, Any]]
    usage: Mapped[list[Any] | None]
    problems: Mapped[list[Any]]
    output_file: Mapped[str | None]
    error_file: Mapped[str | None]
    owner: Mapped[str | None]
    beat_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    key: Mapped[str] = mapped_column(server_default="")
