"""The form of a key, and what was filled in, read like a body of ``/admin/keys``.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from coterie.errors import KeyUnusable
from orchestrator.keys.entry import KeyChange
from orchestrator.keys.key import ApiKey

T = TypeVar("T", bound=KeyChange)


def read(kind: type[T], fields: Mapping[str, str], **lists: Sequence[str]) -> T:
    """The body that a form's ``fields`` describe; raises :class:`KeyUnusable`."""
    given = {name: value.strip() for name, value in fields.items()}
    body: dict[str, Any] = {
        "name": given.get("name", ""),
        "role": given.get("role", "chat"),
        "contents": given.get("contents", "whole"),
        "expires_at": _utc(given.get("expires_at", "")),
        "budget": _budget(given),
        "rates": {name: given.get(f"rate_{name}") or None for name in ("requests", "tokens")},
        **{name: list(values) for name, values in lists.items()},
    }
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise KeyUnusable(f"{where}: {first['msg']}", param=where) from None


def chosen(key: ApiKey | None) -> dict[str, Any]:
    """What the form is filled in with."""
    if key is None:
        return {
            "name": "", "role": "chat", "contents": "whole", "expires_at": "",
            "amount": "", "unit": "usd", "period": "month", "requests": "", "tokens": "",
            "experts": set(), "strategies": set(),
        }  # fmt: skip
    return {
        "name": key.name,
        "role": str(key.role),
        "contents": key.contents,
        "expires_at": f"{key.expires_at:%Y-%m-%dT%H:%M}" if key.expires_at else "",
        "amount": f"{key.budget.amount:g}" if key.budget else "",
        "unit": key.budget.unit if key.budget else "usd",
        "period": key.budget.period if key.budget else "month",
        "requests": _shown(key.rates.requests),
        "tokens": _shown(key.rates.tokens),
        "experts": set(key.experts),
        "strategies": set(key.strategies),
    }


def _budget(given: Mapping[str, str]) -> dict[str, str] | None:
    if not given.get("amount"):
        return None
    return {"amount": given["amount"]} | {n: given[n] for n in ("unit", "period") if n in given}


def _utc(text: str) -> str | None:
    """Browsers send a time without its zone: the form says that it is in UTC."""
    return f"{text}:00+00:00" if len(text) == len("2026-01-01T00:00") else text or None


def _shown(value: int | None) -> str:
    return "" if value is None else str(value)
