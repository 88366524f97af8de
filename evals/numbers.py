r"""Numbers as models write them, in one form: "$1,200.00", "1{,}200" and "1200" are one.  Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

_DIGITS = r"[0-9]{1,3}(?:(?:,|\{,\}|\\,)[0-9]{3}){1,8}(?![0-9])|[0-9]{1,40}"
_DECIMAL = rf"(?:(?:{_DIGITS})(?:\.[0-9]{{1,40}})?|\.[0-9]{{1,40}})"
_EXPONENT = r"(?:[eE][-+]?[0-9]{1,2}(?![0-9]))?"
NUMBER = re.compile(
    r"(?:(?<![\w)}\]])[-−+] ?)?(?:\\?\$ ?)?(?:"
    r"\\[dt]?frac ?\{ ?-?[0-9]{1,40} ?\} ?\{ ?[0-9]{1,40} ?\}"
    rf"|{_DECIMAL}{_EXPONENT}(?: ?/ ?[0-9]{{1,40}}(?![0-9./]))?)"
)
"""A number, its sign, dollar and fraction bar included."""


def canonical_number(text: str) -> str | None:
    """One form for equal numbers: "18", "-0.5", "1/3"; None where ``text`` is no number."""
    value = number_of(text)
    return None if value is None else shown_number(value)


def number_of(text: str) -> Fraction | None:
    """The value of a number that :data:`NUMBER` finds; units and words are not taken."""
    found = NUMBER.fullmatch(text.strip())
    if not found:
        return None
    bare = re.sub(r"\{,\}|\\[,dt]?(?:frac)?|[$+, ]", "", found.group()).replace("−", "-")
    above, bar, below = bare.strip("{}").replace("}{", "/").replace("{", "").partition("/")
    under = int(below) if bar else 1
    return Fraction(Decimal(above)) / under if under else None


def shown_number(value: Fraction) -> str:
    """As an integer, else as a finite decimal, else as a fraction in lowest terms."""
    if value.denominator == 1:
        return str(value.numerator)
    twos, rest = _without(value.denominator, 2)
    fives, rest = _without(rest, 5)
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    return f"{'-' * (value < 0)}{digits[:-places]}.{digits[-places:]}"


def _without(n: int, factor: int) -> tuple[int, int]:
    """How often ``factor`` divides ``n``, and what is left."""
    times = 0
    while n % factor == 0:
        n, times = n // factor, times + 1
    return times, n
