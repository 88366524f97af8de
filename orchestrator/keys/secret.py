"""The text of a key: made here, and known by its hash alone afterwards.

A key is 32 random characters of 64 (192 bits).  The first six are kept in clear, to find it by and
to tell it from others; the 156 bits that are left can be guessed at by nobody, so that a fast hash
is enough: slow ones (scrypt, Argon2) protect what people choose, by making each of a few billion
guesses dear, and would cost every request tens of milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

MARK = "ctr_"
PREFIX = len(MARK) + 6
"""Characters of a key that are kept in clear."""


def new_secret() -> str:
    """A new key."""
    return MARK + secrets.token_urlsafe(24)


def is_ours(token: str) -> bool:
    """Whether the token looks like a key of the database's."""
    return token.startswith(MARK)


def prefix_of(token: str) -> str:
    return token[:PREFIX]


def digest_of(token: str) -> str:
    """What is kept of a key: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two digests are the same, in a time that does not tell how nearly they are."""
    return hmac.compare_digest(one.encode("ascii"), other.encode("ascii"))
