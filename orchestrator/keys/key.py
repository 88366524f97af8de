"""A key, and whoever calls with one: what each may do.  Frozen, pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args

from coterie.errors import KeyRefused, ModelNotAllowed
from orchestrator.keys.budget import Budget

Contents = Literal["whole", "hashed", "none"]
"""What of a request's and its answers' text is kept: all, hashes that tell equal ones, nothing."""
CONTENTS: tuple[Contents, ...] = get_args(Contents)

ADMIN_FILE, CHAT_FILE, ANONYMOUS = "admin-file", "chat-file", "anonymous"
COMMAND_LINE = "command-line"
"""Ids of callers that have no key in the database: those of the two key files, whoever chats where
no key is required, and whoever works on the database itself."""

KEY_ID = "key_"
"""Begins the ids of keys in the database."""

AUTO = "auto"
"""The strategy that falls on another one."""


class Role(StrEnum):
    """What a key is for; each endpoint says which of them it takes."""

    CHAT = "chat"
    JOBS = "jobs"
    VIEWER = "viewer"
    ADMIN = "admin"

    @property
    def sees_all(self) -> bool:
        """Whether it is shown what others have asked and made."""
        return self in (Role.VIEWER, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests and tokens that a key may use in a minute; None: as many as it likes."""

    requests: int | None = None
    tokens: int | None = None

    def __bool__(self) -> bool:
        return self.requests is not None or self.tokens is not None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key, but for the key itself, of which only a hash is kept.

    ``prefix`` is how it begins.  ``experts`` and ``strategies`` are those it may use, all where
    none is named.
    """

    id: str
    name: str
    role: Role
    prefix: str
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    experts: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    budget: Budget | None = None
    rates: Rates = field(default_factory=Rates)
    contents: Contents = "whole"
    last_used_at: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raises :class:`KeyRefused` for a key that is revoked or has expired."""
        if self.revoked_at is not None:
            raise KeyRefused(f"the key {self.name!r} ({self.prefix}…) was revoked: ask for another")
        if self.expires_at is not None and self.expires_at <= now:
            at = f"{self.expires_at:%Y-%m-%d %H:%M} UTC"
            raise KeyRefused(
                f"the key {self.name!r} ({self.prefix}…) expired at {at}: ask for another"
            )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; ``key`` is None for the keys in files, and for whoever needs none."""

    id: str
    name: str
    role: Role
    key: ApiKey | None = None
    contents: Contents = "whole"

    @classmethod
    def of(cls, key: ApiKey) -> Caller:
        """Whoever calls with ``key``."""
        return cls(key.id, key.name, key.role, key, key.contents)

    @property
    def sees(self) -> tuple[str, ...] | None:
        """The ids of callers whose requests, files, batches and jobs this one sees; None: all.

        Callers without a key of their own see what any of them made, also before keys were kept.
        """
        if self.role.sees_all:
            return None
        return (self.id,) if self.key else ("", ANONYMOUS, CHAT_FILE)

    def owns(self, key: str) -> bool:
        """Whether what was asked or made by the caller of id ``key`` may be seen by this one."""
        return self.sees is None or key in self.sees

    @property
    def experts(self) -> tuple[str, ...]:
        """The only experts that may be asked for this caller; all where none is named."""
        return self.key.experts if self.key else ()

    def may_ask(self, expert: str) -> bool:
        """Whether the expert may be asked for this caller."""
        return not self.experts or expert in self.experts

    def may_use(self, strategy: str) -> bool:
        """Whether the strategy may be asked for by this caller; ``auto`` may always."""
        allowed = self.key.strategies if self.key else ()
        return not allowed or strategy in (AUTO, *allowed)

    def strategy(self, wanted: str, chosen: str) -> str:
        """The strategy that decides where ``wanted`` was asked for, and ``auto`` falls on
        ``chosen``.

        A key that names strategies, ``auto`` not among them, has with ``auto`` the chosen one where
        it may, else the first of its own.  Raises :class:`ModelNotAllowed` for any other.
        """
        allowed = self.key.strategies if self.key else ()
        if not allowed or wanted in allowed:
            return wanted
        if wanted == AUTO:
            return chosen if chosen in allowed else allowed[0]
        raise ModelNotAllowed(_not_allowed(f"coterie/{wanted}", "strategies", allowed))

    def check_expert(self, name: str) -> None:
        """Raises :class:`ModelNotAllowed` unless the expert may be asked by name."""
        if not self.may_ask(name):
            raise ModelNotAllowed(_not_allowed(name, "experts", self.experts))


OPERATOR = Caller(COMMAND_LINE, "the command line", Role.ADMIN)
"""Whoever can open the database: nobody asks for a key there."""
ANYONE = Caller(ANONYMOUS, "anonymous", Role.CHAT)
"""Who chats where no key is required."""


def _not_allowed(model: str, what: str, allowed: tuple[str, ...]) -> str:
    return f"this key may not use the model {model!r}: its {what} are {', '.join(allowed)}"
