"""Numbers and times as people read them: with units, no digit more than is known.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

NOTHING = "–"


def count(value: float | None) -> str:
    """``12,345``; from ten thousand on ``12.3 k``, then ``M``, ``G``."""
    if value is None:
        return NOTHING
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    raise AssertionError(value)


def share(value: float | None) -> str:
    """``97.3 %``."""
    return NOTHING if value is None else f"{value * 100:.1f} %"


def rate(value: float | None) -> str:
    """A probability: ``.83``, the way profiles are written."""
    return NOTHING if value is None else f"{value:.2f}".removeprefix("0") if value < 1 else "1.00"


def duration(seconds: float | None) -> str:
    """``12 ms``, ``3.4 s``, ``5 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
    return f"{seconds // 86400:.0f} d {seconds % 86400 // 3600:.0f} h"


def milliseconds(value: float | None) -> str:
    """The same, of milliseconds."""
    return duration(None if value is None else value / 1000)


def usd(value: float | None) -> str:
    """``$0``, ``$0.0042``, ``$12.30``."""
    if value is None:
        return NOTHING
    if value == 0:
        return "$0"
    return (
        f"${value:,.2f}"
        if abs(value) >= 1
        else f"${value:.2g}"
        if abs(value) >= 1e-4
        else (f"${value:.1e}")
    )


def size(value: float | None) -> str:
    """Bytes: ``3.5 GiB``."""
    if value is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"


def when(value: datetime | str | None) -> str:
    """``2026-11-24 16:20:05 UTC``."""
    if value is None:
        return NOTHING
    point = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{point.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def cut(text: str, most: int = 120) -> str:
    """``text`` in one line of at most ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def query(fields: Sequence[tuple[str, Any]]) -> str:
    """``run=a&run=b``: fields as they stand in an address; None is left out."""
    return urlencode([(name, value) for name, value in fields if value is not None], doseq=True)


def segment(text: str) -> str:
    """``text`` as one part of an address's path."""
    return quote(text, safe="")


FILTERS: dict[str, Callable[..., Any]] = {
    "count": count,
    "share": share,
    "rate": rate,
    "duration": duration,
    "ms": milliseconds,
    "usd": usd,
    "size": size,
    "when": when,
    "cut": cut,
    "query": query,
    "segment": segment,
}
