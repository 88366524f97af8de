"""What the pages of keys show of them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.api.dashboard import words
from orchestrator.keys.budget import Period, Spent, began, ends
from orchestrator.keys.key import ApiKey, Role

UNBOUNDED: Period = "month"
"""The period of which is told what a key without a budget has spent."""
MEANINGS = {
    Role.CHAT: "chats, and uses files and batches",
    Role.JOBS: "does that, and runs evaluations",
    Role.VIEWER: "sees everything and changes nothing; does not chat",
    Role.ADMIN: "may do everything",
}


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key as one line of a list; ``share`` of its budget is spent, None where it has none."""

    id: str
    name: str
    role: str
    prefix: str
    state: str
    kind: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    spent: str
    budget: str
    share: float | None
    renews_at: datetime | None
    rates: str
    allowed: str
    contents: str
    usable: bool

    @classmethod
    def of(cls, key: ApiKey, spent: Spent, now: datetime) -> KeyLine:
        budget = key.budget
        used = spent.at(budget.unit) if budget else spent.usd
        share = min(1.0, used / budget.amount) if budget and budget.amount else None
        state, kind = _state(key, used, now)
        return cls(
            key.id,
            key.name,
            str(key.role),
            key.prefix,
            state,
            kind,
            key.created_at,
            key.expires_at,
            key.last_used_at,
            _amount(used, budget.unit if budget else "usd"),
            str(budget) if budget else "",
            share,
            ends(budget.period, now) if budget else None,
            _rates(key),
            _allowed(key),
            key.contents,
            key.revoked_at is None,
        )

    def revoking(self, *, own: bool) -> str:
        """What is asked before the key is revoked."""
        used = f"It was last used {words.when(self.last_used_at)}." if self.last_used_at else ""
        return (
            f"Revoke the key {self.name!r} ({self.prefix}…)?\n\n"
            "Whatever calls with it is refused from now on, and whoever is logged in with it is "
            f"logged out. {used} What was asked with it stays. This cannot be undone: whoever "
            "needs a key again gets another one."
            + ("\n\nYou are logged in with this key yourself." if own else "")
        )


def periods(keys: Iterable[ApiKey]) -> Mapping[Period, list[str]]:
    """The ids of keys by the period of which their spending is told."""
    found: dict[Period, list[str]] = {}
    for key in keys:
        found.setdefault(key.budget.period if key.budget else UNBOUNDED, []).append(key.id)
    return found


def since(period: Period, now: datetime) -> datetime:
    """When the period that is now began."""
    return began(period, now)


def matching(keys: Sequence[ApiKey], text: str, *, revoked: bool) -> list[ApiKey]:
    """The keys whose name, id, role or beginning has ``text`` in it; revoked ones if wanted."""
    wanted = text.strip().lower()
    return [
        k
        for k in keys
        if (revoked or k.revoked_at is None)
        and any(wanted in part.lower() for part in (k.name, k.id, k.prefix, k.role))
    ]


def _state(key: ApiKey, used: float, now: datetime) -> tuple[str, str]:
    if key.revoked_at is not None:
        return "revoked", "idle"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired", "bad"
    if key.budget and used >= key.budget.amount:
        return "used up", "bad"
    return "in use" if key.last_used_at else "never used", "good"


def _amount(used: float, unit: str) -> str:
    return words.usd(used) if unit == "usd" else f"{words.count(used)} tokens"


def _rates(key: ApiKey) -> str:
    found = (("requests", key.rates.requests), ("tokens", key.rates.tokens))
    told = ", ".join(f"{words.count(most)} {what}" for what, most in found if most is not None)
    return f"{told} a minute" if told else ""


def _allowed(key: ApiKey) -> str:
    parts = []
    if key.experts:
        parts.append(f"experts {', '.join(key.experts)}")
    if key.strategies:
        parts.append(f"strategies {', '.join(key.strategies)}")
    return "; ".join(parts)
