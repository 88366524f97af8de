"""Keeps secret questions unreadable wherever they are stored.

What is secret (a benchmark whose publisher asks that it never appears in plain text) is encrypted
before it reaches the database.  The key is in a file its owner alone can read, or in an environment
variable where several machines share a database.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from coterie.errors import ConfigurationError

VARIABLE = "COTERIE_SEAL_KEY"


@dataclass(slots=True)
class Seal:
    """Encrypts and decrypts; the key is read, or made, at the first use.

    ``key`` is used where one is given, else the one in ``file``.
    """

    file: Path
    key: str | None = field(default=None, repr=False)
    _fernet: Any = field(default=None, repr=False)

    def close(self, plain: bytes) -> bytes:
        """``plain``, unreadable; ASCII."""
        return bytes(self._cipher().encrypt(plain))

    def open(self, sealed: bytes) -> bytes:
        """What was sealed; raises :class:`ConfigurationError` if it was with another key."""
        try:
            return bytes(self._cipher().decrypt(sealed))
        except InvalidToken:
            raise ConfigurationError(
                f"what is sealed in the database was sealed with another key than that in "
                f"{VARIABLE} or {str(self.file)!r}: give every process the same one"
            ) from None

    def _cipher(self) -> Fernet:
        if self._fernet is None:
            key = self.key or _read_or_make(self.file)
            try:
                self._fernet = Fernet(key)
            except ValueError:
                raise ConfigurationError(
                    f"the key in {VARIABLE} or {str(self.file)!r} is not one: it is 32 bytes in "
                    "URL-safe base64; remove it, and one is made at the next start"
                ) from None
        cipher: Fernet = self._fernet
        return cipher


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise ConfigurationError(
                f"{str(path)!r} can be read by others (mode {mode:o}): chmod 600 it"
            ) from None
        return path.read_text(encoding="ascii").strip()
    key = Fernet.generate_key().decode()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return key
