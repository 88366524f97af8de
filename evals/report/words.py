"""Figures in words: one way to write a share, an interval, a cost.  Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from evals.spending import Unit
from evals.stats import Difference, Rate

UNSAFE = {"Cc", "Cs", "Cn", "Co"}
"""Control characters, halves of surrogate pairs, and what is no character: XML forbids most."""

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""These turn the direction of the text that follows: a name could rewrite its neighbours."""

COST_TITLES = {
    Unit.USD: "US$ per 1,000 questions",
    Unit.TOKENS: "output tokens per question",
    Unit.CALLS: "calls per question",
}


def legible(text: str, most: int = 200) -> str:
    """``text`` in one line that is safe to show: nobody vouches for names and errors."""
    shown = "".join(map(_shown, text[: most + 1]))
    return f"{shown[:most]}…" if len(shown) > most else shown


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    unsafe = unicodedata.category(character) in UNSAFE or character in BIDI
    return "\ufffd" if unsafe else character


def unique(names: Iterable[str]) -> list[str]:
    """Legible names, numbered where two would look the same; "(none)" for an empty one."""
    taken: set[str] = set()
    found = []
    for name in names:
        shown = base = legible(name, 80).strip() or "(none)"
        number = 2
        while shown in taken:
            shown, number = f"{base} #{number}", number + 1
        taken.add(shown)
        found.append(shown)
    return found


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(rate: Rate) -> str:
    """ "63.2 % [60.1, 66.2]"."""
    return f"{percent(rate.mean)} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def points(difference: Difference) -> str:
    """ "+3.1 [+0.4, +5.9]", in percentage points."""
    low, high = _signed(difference.low), _signed(difference.high)
    return f"{_signed(difference.mean)} [{low}, {high}]"


def _signed(share: float) -> str:
    # No "-0.0".
    return f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")


def p_value(p: float) -> str:
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def scaled(cost: float, unit: Unit) -> float:
    """A question's mean cost as it is shown: dollars are for a thousand questions."""
    return 1000 * cost if unit is Unit.USD else cost


def money(cost: float | None, unit: Unit) -> str:
    """A question's mean cost in the words of :data:`COST_TITLES`."""
    if cost is None:
        return "–"
    value = scaled(cost, unit)
    return f"${amount(value)}" if unit is Unit.USD else amount(value)


def amount(value: float) -> str:
    """Three digits are enough of anything that was measured."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1e}"


def duration(seconds: float | None) -> str:
    """ "1 h 05 min", "6 min 30 s", "12.3 s"."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60:,} h {minutes % 60:02d} min"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
