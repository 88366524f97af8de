"""`coterie keys`: who may call.  Works on the database: no server is needed, and servers that share
it notice within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import typer

from orchestrator.cli import show
from orchestrator.cli.options import AsJson, listed, the_database, the_settings

keys_app = typer.Typer(no_args_is_help=True, help="API keys: who may call, and what each may do.")

T = TypeVar("T")


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")],
    role: Annotated[str, typer.Option(help="chat, jobs, viewer or admin.")] = "chat",
    days: Annotated[float | None, typer.Option(min=0.001, help="When it expires, in days.")] = None,
    experts: Annotated[
        list[str] | None, typer.Option(help="The only ones it may ask: a,b or the option again.")
    ] = None,
    strategies: Annotated[
        list[str] | None, typer.Option(help="The only ones it may use: a,b or the option again.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Such as '5 usd month' or '100000 tokens day', in UTC.")
    ] = None,
    requests: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens a minute.")] = None,
    contents: Annotated[
        str, typer.Option(help="What is kept of texts: whole, hashed or none.")
    ] = "whole",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once: what is kept of it is a hash."""
    from coterie.db import utcnow
    from orchestrator.keys.entry import KeyEntry

    expires = utcnow() + timedelta(days=days) if days else None
    entry = KeyEntry.read(
        {
            "name": name,
            "role": role,
            "expires_at": expires,
            "experts": listed(experts),
            "strategies": listed(strategies),
            "budget": _budget(budget),
            "rates": {"requests": requests, "tokens": tokens},
            "contents": contents,
        }
    )
    made, secret = asyncio.run(_create(entry))
    if as_json:
        show.as_json({**_record(made), "key": secret})
        return
    show.errors.print(f"key {made.id} for {made.name}, role {made.role}; it is not shown again:")
    print(secret)


@keys_app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key, the newest first, those that are revoked too."""
    found = asyncio.run(_with(lambda store, _: store.all()))
    if as_json:
        show.as_json([_record(held.key) for held in found])
        return
    if not found:
        show.console.print("no keys yet: `coterie keys create NAME` makes one")
        return
    columns = ("id", "name", "role", "begins", "may spend", "a minute", "state", "last used (UTC)")
    show.table("Keys", columns, [_row(held.key) for held in found])


@keys_app.command("revoke")
def revoke(id: Annotated[str, typer.Argument(help="`coterie keys list` shows them.")]) -> None:
    """Revoke a key for good."""
    key = asyncio.run(_revoke(id))
    told = f"key {key.id} ({key.name}) is revoked; servers refuse it within seconds"
    show.console.print(told, markup=False, soft_wrap=True)


async def _create(entry: Any) -> tuple[Any, str]:
    from coterie.clock import SystemClock
    from coterie.db import utcnow
    from orchestrator.access import Access
    from orchestrator.keys.entry import check_names
    from orchestrator.keys.key import OPERATOR, ApiKey
    from orchestrator.keys.ring import KeyRing
    from orchestrator.routing import STRATEGIES
    from skills.expert_store import ExpertStore

    async with the_database() as database:
        key = entry.over(ApiKey("", entry.name, entry.role, "", utcnow(), OPERATOR.id))
        check_names(key, [e.name for e in await ExpertStore(database).list()], STRATEGIES)
        store, audit = _stores(database)
        ring = KeyRing(Access(the_settings().require_key, "", ""), store, SystemClock())
        made, secret = await ring.create(key)
        await audit.note(OPERATOR, "key.create", made.id, _record(made))
        return made, secret


async def _revoke(id: str) -> Any:
    from coterie.db import utcnow
    from orchestrator.keys.key import OPERATOR

    async def run(store: Any, audit: Any) -> Any:
        revoked = await store.revoke(id, utcnow())
        await audit.note(OPERATOR, "key.revoke", id, {"name": revoked.name})
        return revoked

    return await _with(run)


async def _with(call: Callable[[Any, Any], Awaitable[T]]) -> T:
    async with the_database() as database:
        return await call(*_stores(database))


def _stores(database: Any) -> tuple[Any, Any]:
    from orchestrator.keys.audit import AuditLog
    from orchestrator.keys.audit_store import AuditStore
    from orchestrator.keys.store import KeyStore

    return KeyStore(database), AuditLog(AuditStore(database))


def _record(key: Any) -> dict[str, Any]:
    from orchestrator.keys.entry import key_body

    return key_body(key)


def _budget(text: str | None) -> dict[str, Any] | None:
    """``AMOUNT [UNIT [PERIOD]]`` as the API takes it."""
    if text is None:
        return None
    amount, *rest = text.split()
    return {"amount": amount, **dict(zip(("unit", "period"), rest, strict=False))}


def _row(key: Any) -> tuple[str, ...]:
    rates = [f"{n} {what}" for n, what in _rates(key) if n is not None]
    used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "–"
    budget = str(key.budget) if key.budget else "–"
    shown = (key.id, key.name, str(key.role), f"{key.prefix}…", budget)
    return (*shown, ", ".join(rates) or "–", _state(key), used)


def _rates(key: Any) -> tuple[tuple[int | None, str], ...]:
    return (key.rates.requests, "requests"), (key.rates.tokens, "tokens")


def _state(key: Any) -> str:
    from coterie.db import utcnow

    if key.revoked_at:
        return "revoked"
    if key.expires_at is None:
        return "good"
    past = key.expires_at <= utcnow()
    return f"{'expired' if past else 'good until'} {key.expires_at:%Y-%m-%d %H:%M}"
