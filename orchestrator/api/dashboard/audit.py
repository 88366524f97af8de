"""The audit log: who changed what, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from coterie.errors import RequestError
from orchestrator.api.dashboard.guard import Manages
from orchestrator.keys.audit import Change, ChangeFilters
from orchestrator.keys.key import ADMIN_FILE, CHAT_FILE

router = APIRouter()

PAGE = 50
DEEPEST = 4


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One change; ``detail`` as names and texts."""

    change: Change
    detail: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, change: Change) -> ChangeLine:
        return cls(change, tuple(told(change.detail)))


def told(detail: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """The detail flattened: ``{"a": {"b": 1}}`` is ``a.b: 1``; what was changed is an arrow."""
    for name, value in detail.items():
        full = f"{before}{name}"
        if isinstance(value, Mapping) and value.keys() == {"from", "to"}:
            yield full, f"{_text(value['from'])} → {_text(value['to'])}"
        elif isinstance(value, Mapping) and value and depth < DEEPEST:
            yield from told(value, f"{full}.", depth + 1)
        elif value not in (None, "", [], {}):
            yield full, _text(value)


def _text(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(v)}" for name, v in value.items() if v is not None)
    return str(value)


@router.get("/audit")
async def show(
    visit: Manages,
    who: str = "",
    action: str = "",
    target: str = "",
    since: str = "",
    until: str = "",
    before: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None,
) -> Response:
    """Changes, the newest first."""
    filters = ChangeFilters(
        caller=who.strip() or None,
        action=action.strip() or None,
        target=target.strip() or None,
        since=_time("since", since),
        until=_time("until", until),
    )
    found = await visit.parts.audit.page(PAGE + 1, before, filters)
    lines = [ChangeLine.of(change) for change in found[:PAGE]]
    given = {"who": who, "action": action, "target": target, "since": since, "until": until}
    return visit.page(
        "audit.html",
        lines=lines,
        given=given,
        filtered=any(given.values()),
        older=lines[-1].change.id if len(found) > PAGE else None,
        newest=before is None,
        people=[ADMIN_FILE, CHAT_FILE, *dict.fromkeys(key.name for key in visit.parts.keys.list())],
    )


def _time(name: str, text: str) -> datetime | None:
    """A time of the form, in UTC."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise RequestError(
            f"{name}: {text!r} is not a time: write 2026-12-31T23:59, in UTC", param=name
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
