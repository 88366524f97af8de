"""Reads an answer out of a model's text and compares it with a target.

Nothing here raises for an odd text: what cannot be read is wrong.  What was read comes back in one
canonical form, so that answers that mean the same vote for the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from coterie.types import JSON, Grade
from evals.tasks import demo_sql
from evals.tasks.demo_times import MONTHS, WEEKDAYS, clock, clock_12

Target: TypeAlias = Mapping[str, JSON]

MAX_CHARS = 4000
"""An answer is read this far; whatever comes after is no answer."""

_NUMBER = r"(?:(?<![\w)])-)?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})(?:\.[0-9]{1,30})?"
_NUMBER_RE = re.compile(_NUMBER)
_TIME_RE = re.compile(
    r"(?<![0-9:])([01]?[0-9]|2[0-3]):([0-5][0-9])(?::[0-5][0-9])?(?![0-9])"
    r"(?:\s?([ap])\.?m\b)?",
    re.IGNORECASE,
)
_DURATION_RE = re.compile(
    r"(?<![0-9.])(?:([0-9]{1,3}(?:\.[0-9]{1,2})?) {0,2}h(?:ou)?(?:rs?)?\b)"
    r"(?:,? {0,2}(?:and )?([0-9]{1,4}) {0,2}m(?:in(?:ute)?s?)?\b)?"
    r"|(?<![0-9.])([0-9]{1,4}) {0,2}m(?:in(?:ute)?s?)?\b",
    re.IGNORECASE,
)
_WEEKDAY_RE = re.compile(rf"\b({'|'.join(WEEKDAYS)})s?\b", re.IGNORECASE)
_MONTH_NUMBERS = {name[:3].lower(): i for i, (name, _) in enumerate(MONTHS, start=1)}
_MONTH = rf"({'|'.join(f'{name[:3]}(?:{name[3:]})?' for name, _ in MONTHS)})\.?"
_DAY = r"([0-9]{1,2})(?:st|nd|rd|th)?"
_DATE_RE = re.compile(
    rf"\b{_MONTH} (?:the )?{_DAY}\b|\b{_DAY} (?:of )?{_MONTH}(?!\w)", re.IGNORECASE
)


def grade(target: Target, output: str) -> Grade:
    """Grades ``output`` by the rule ``target["kind"]`` names."""
    return _RULES[str(target["kind"])](target, output[:MAX_CHARS])


def _number(target: Target, output: str) -> Grade:
    units = target["units"]
    assert isinstance(units, Sequence)
    read = _read_number(output, [str(unit) for unit in units])
    if read is None:
        return Grade(False, None)
    close = abs(read - Decimal(str(target["value"]))) <= Decimal("1e-9")
    return Grade(close, _shown(read))


def _read_number(output: str, units: Sequence[str]) -> Decimal | None:
    """The number before the unit asked for, else the one after ``=``, else the last one."""
    if units:
        names = "|".join(re.escape(unit) for unit in units)
        found = re.findall(rf"({_NUMBER}) {{0,2}}(?:{names})\b", output)
        if found:
            return _decimal(found[-1])
    _, equals, solved = output.rpartition("=")
    after = _NUMBER_RE.search(solved) if equals else None
    if after:
        return _decimal(after.group())
    numbers = _NUMBER_RE.findall(output)
    return _decimal(numbers[-1]) if numbers else None


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:
        return None


def _shown(number: Decimal) -> str:
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _time(target: Target, output: str) -> Grade:
    """The last time named; ``form`` says whether it must be written with AM or PM, or without."""
    found = _TIME_RE.findall(output)
    if not found:
        return Grade(False, None)
    hour, minute, half = int(found[-1][0]), int(found[-1][1]), found[-1][2].lower()
    odd = bool(half) and not 1 <= hour <= 12
    if half and not odd:
        hour = hour % 12 + (12 if half == "p" else 0)
    minutes = 60 * hour + minute
    formed = {"12": bool(half), "24": not half}.get(str(target["form"]), True) and not odd
    shown = clock_12(minutes) if half else clock(minutes)
    extracted = clock(minutes) if target["form"] == "any" else shown
    return Grade(formed and clock(minutes) == target["value"], extracted)


def _duration(target: Target, output: str) -> Grade:
    found = _DURATION_RE.findall(output)
    if not found:
        return Grade(False, None)
    hours, minutes, alone = found[-1]
    total = Decimal(alone) if alone else 60 * Decimal(hours) + Decimal(minutes or 0)
    return Grade(total == Decimal(str(target["value"])), f"{_shown(total)} minutes")


def _weekday(target: Target, output: str) -> Grade:
    found = _WEEKDAY_RE.findall(output)
    if not found:
        return Grade(False, None)
    return Grade(found[-1].capitalize() == target["value"], found[-1].capitalize())


def _date(target: Target, output: str) -> Grade:
    """The last date named, as month and day."""
    read, wanted = _read_date(output), _read_date(str(target["value"]))
    return Grade(read is not None and read == wanted, read)


def _read_date(text: str) -> str | None:
    found = _DATE_RE.findall(text)
    if not found:
        return None
    month, day, day_first, month_last = found[-1]
    number = _MONTH_NUMBERS[(month or month_last)[:3].lower()]
    return f"{number:02d}-{int(day or day_first):02d}"


def _json(target: Target, output: str) -> Grade:
    read = _read_object(output)
    wanted = target["value"]
    assert isinstance(wanted, Mapping)
    if read is None:
        return Grade(False, None)
    fields = _normal(read)
    return Grade(fields == _normal(wanted), json.dumps(fields, sort_keys=True))


def _read_object(output: str) -> Mapping[str, Any] | None:
    """The first JSON object in the text."""
    decoder = json.JSONDecoder()
    for found in list(re.finditer(r"\{", output))[:20]:
        try:
            value, _ = decoder.raw_decode(output, found.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def _normal(fields: Mapping[str, Any]) -> dict[str, str]:
    return {str(key).strip().casefold(): _field(value) for key, value in fields.items()}


def _field(value: object) -> str:
    """A field's value in one form: a price of ``"$12"`` is ``12``."""
    text = " ".join(str(value).split()).casefold()
    bare = text.removeprefix("$").removesuffix(" dollars")
    if not isinstance(value, bool) and _NUMBER_RE.fullmatch(bare):
        number = _decimal(bare)
        return text if number is None else _shown(number)
    return text


def _sql(target: Target, output: str) -> Grade:
    query = demo_sql.statement(output)
    rows = demo_sql.answer(target, query) if query else None
    if rows is None:
        return Grade(False, None)
    right = rows == demo_sql.answer(target, str(target["query"]))
    return Grade(right, demo_sql.canonical(rows))


def _text(target: Target, output: str) -> Grade:
    """Right where an accepted answer occurs as whole words."""
    accepted = target["accept"]
    assert isinstance(accepted, Sequence)
    said = " ".join(re.findall(r"\w+", output.casefold()))
    for answer in map(str, accepted):
        if f" {answer.casefold()} " in f" {said} ":
            return Grade(True, str(accepted[0]).casefold())
    return Grade(False, said[:80] or None)


_RULES: Mapping[str, Callable[[Target, str], Grade]] = {
    "number": _number,
    "time": _time,
    "duration": _duration,
    "weekday": _weekday,
    "date": _date,
    "json": _json,
    "sql": _sql,
    "text": _text,
}
