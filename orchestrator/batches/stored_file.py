"""A file that is kept: what is known of it besides its contents.  Frozen."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

BATCH, BATCH_OUTPUT = "batch", "batch_output"
"""What a file is for."""

MOST_BYTES = 100 * 1024 * 1024
"""Of an uploaded file."""

KEPT = timedelta(days=30)
"""How long a file is kept that says nothing else."""

NAME_LENGTH = 255


@dataclass(frozen=True, slots=True)
class StoredFile:
    """``name`` is what the caller called it: it is shown, and never a path of ours.  ``key`` is the
    id of whoever it belongs to."""

    id: str
    name: str
    purpose: str
    created_at: datetime
    expires_at: datetime
    bytes: int = 0
    key: str = ""


def new_file(
    name: str, purpose: str, now: datetime, keep: timedelta = KEPT, key: str = ""
) -> StoredFile:
    """A file with an id of its own, and nothing in it yet."""
    id = f"file-{uuid.uuid4().hex}"
    return StoredFile(id, shown(name), purpose, now, now + keep, key=key)


def shown(name: str) -> str:
    """The last part of ``name``, without what does not print."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:NAME_LENGTH] or "file"
