"""The two keys in files, made at first start: they open everything when nothing else does.

Each is in a file its owner alone can read: the chat key and the admin key.  They are compared in
constant time and never logged or returned.  Keys for others are in the database
(:mod:`orchestrator.keys`).
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from coterie.errors import ConfigurationError
from orchestrator.keys.key import ADMIN_FILE, CHAT_FILE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """The keys in files; ``require_key``: whether chat needs any key."""

    require_key: bool
    chat_key: str = field(repr=False)
    admin_key: str = field(repr=False)

    def file_of(self, token: str) -> str | None:
        """The id of the caller that ``token`` is the key file of, if it is one's."""
        # Both are compared, so that the time taken does not tell which one came near.
        given = token.encode("utf-8", "surrogatepass")
        admin = hmac.compare_digest(given, self.admin_key.encode())
        chat = hmac.compare_digest(given, self.chat_key.encode())
        return ADMIN_FILE if admin else CHAT_FILE if chat else None


def read_or_make_key(path: Path) -> str:
    """The key in ``path``; a new one, in a file of mode 0600, where there is none.

    A file that others can read is refused: its key is no longer a secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    key = f"coterie-{secrets.token_urlsafe(32)}"
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key + "\n")
    log.info("a new key was made: %s, which its owner alone can read", path)
    return key


def _read_key(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigurationError(
            f"{str(path)!r} can be read by others (mode {mode:o}): delete it, so that a new key is "
            "made at the next start"
        )
    key = path.read_text(encoding="ascii").strip()
    if len(key) < 16:
        raise ConfigurationError(f"{str(path)!r} holds no key: delete it, and start again")
    return key
