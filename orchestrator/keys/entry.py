"""A key as callers describe it and as it is shown: the edge, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from coterie.db import utcnow
from coterie.errors import KeyUnusable
from coterie.types import as_jsonable
from orchestrator.keys.budget import Budget, Period, Unit
from orchestrator.keys.key import ApiKey, Contents, Rates, Role

NAME_LENGTH = 100


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BudgetEntry(_Body):
    """What a key may spend in each period of the calendar, in UTC."""

    amount: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Unit = "usd"
    period: Period = "month"


class RatesEntry(_Body):
    """What a key may use in a minute."""

    requests: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None


class KeyChange(_Body):
    """What a key may do from now on; what is not named stays as it is."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)] = ""
    role: Role = Role.CHAT
    expires_at: AwareDatetime | None = None
    experts: list[str] = Field(default_factory=list)
    strategies: list[str] = Field(default_factory=list)
    budget: BudgetEntry | None = None
    rates: RatesEntry = Field(default_factory=RatesEntry)
    contents: Contents = "whole"

    def over(self, key: ApiKey) -> ApiKey:
        """The key as it is to be."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("experts", "strategies"):
            if name in given:
                given[name] = tuple(dict.fromkeys(given[name]))
        if budget := given.get("budget"):
            given["budget"] = Budget(budget.amount, budget.unit, budget.period)
        if rates := given.get("rates"):
            given["rates"] = Rates(rates.requests, rates.tokens)
        return replace(key, **given)


class KeyEntry(KeyChange):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """The entry in ``given``; raises :class:`KeyUnusable`."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise KeyUnusable(f"{where}: {first['msg']}", param=where) from None


def check_names(key: ApiKey, experts: Collection[str], strategies: Collection[str]) -> None:
    """Raises :class:`KeyUnusable` where the key names what is not there, or is over already."""
    for field, known in (("experts", experts), ("strategies", strategies)):
        if strange := [name for name in getattr(key, field) if name not in known]:
            told = ", ".join(map(repr, strange))
            there = ", ".join(sorted(known)) or "none"
            raise KeyUnusable(f"no {field} {told}; there are {there}", param=field)
    if key.expires_at is not None and key.expires_at <= utcnow():
        told = "a key that has expired is of no use: name a later time, or revoke it"
        raise KeyUnusable(told, param="expires_at")


def key_body(key: ApiKey) -> dict[str, Any]:
    """A key as JSON, without its text, which nobody has."""
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return {**as_jsonable(key), "role": str(key.role), **{t: _time(getattr(key, t)) for t in times}}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
