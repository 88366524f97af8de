"""A long list, a page of it at a time, with its address.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window(Generic[T]):
    """``rows`` of page ``page`` (from 1), of ``total`` rows on ``pages`` pages."""

    rows: Sequence[T]
    total: int
    page: int
    pages: int


def window(rows: Sequence[T], page: int, size: int) -> Window[T]:
    """The rows of one page; the last one where there are fewer."""
    pages = max(1, -(-len(rows) // size))
    page = min(max(1, page), pages)
    return Window(rows[(page - 1) * size : page * size], len(rows), page, pages)


def address(path: str, fields: Mapping[str, object]) -> str:
    """``path`` with those of ``fields`` that say anything."""
    said = {name: value for name, value in fields.items() if value not in ("", None)}
    return f"{path}?{urlencode(said)}" if said else path
