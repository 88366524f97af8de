"""Keys: who may chat, and who may change anything.

Two keys are made at first start, each in a file its owner alone can read: the chat key (needed
where ``COTERIE_REQUIRE_KEY=1``) and the admin key (always needed to change anything).  Keys are
compared in constant time and never logged or returned.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from coterie.errors import AccessDenied, ConfigurationError


@dataclass(frozen=True, slots=True)
class Access:
    """Checks the ``Authorization`` header of a request."""

    require_key: bool
    chat_key: str = field(repr=False)
    admin_key: str = field(repr=False)

    def check_chat(self, authorization: str | None) -> None:
        """Lets a request through to chat; raises :class:`AccessDenied`."""
        if self.require_key and not _matches(authorization, self.chat_key, self.admin_key):
            raise AccessDenied(
                "this server needs a key: send 'Authorization: Bearer KEY' with the key from the "
                "server's chat.key file"
            )

    def check_admin(self, authorization: str | None) -> None:
        """Lets a request through to the registry; raises :class:`AccessDenied`."""
        if not _matches(authorization, self.admin_key):
            raise AccessDenied(
                "this needs the admin key: send 'Authorization: Bearer KEY' with the key from the "
                "server's admin.key file"
            )


def _matches(authorization: str | None, *keys: str) -> bool:
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    # Every key is compared, so that the time taken does not tell which one came near.
    same = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in keys]
    return any(same)


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
