"""Whether a value keeps a JSON Schema that a stranger wrote.

The schema is hostile input: it must neither reach out over the network nor keep the process busy.
Nothing is fetched; regular expressions are left to whoever generates (they may take for ever); the
work is bounded.  A schema that cannot be followed so is not held against the value.  Pure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

log = logging.getLogger(__name__)

MOST_STEPS = 100_000
"""Steps that one check may take: about a third of a second."""

LEFT_OUT = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
"""Keywords that are not checked: regular expressions, and what walks schemas without being counted.
So is ``additionalProperties`` beside ``patternProperties``."""

_left: ContextVar[list[int]] = ContextVar("steps_left")

Check = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]


class TooMuch(Exception):
    """The check was given up."""


def breach(schema: Any, value: Any) -> str | None:
    """How ``value`` breaks ``schema`` (JSON Schema 2020-12); None where it keeps it, or where the
    schema makes no sense or asks for too much."""
    plain = _in_one_dialect(schema)
    _left.set([MOST_STEPS])
    try:
        Draft202012Validator.check_schema(plain)
        error = next(_Bounded(plain, registry=Registry()).iter_errors(value), None)
    except (SchemaError, Unresolvable, TooMuch, RecursionError, ValueError) as problem:
        log.info("an answer was not checked by its schema: %s", type(problem).__name__)
        return None
    return f"{error.json_path}: {error.message[:200]}" if error else None


def _in_one_dialect(schema: Any) -> Any:
    """The schema without its ``$schema``, which would bring back what is left out."""
    if isinstance(schema, dict):
        return {k: _in_one_dialect(v) for k, v in schema.items() if k != "$schema"}
    return [_in_one_dialect(v) for v in schema] if isinstance(schema, list) else schema


def _counted(check: Check) -> Check:
    def run(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        _spend(1 + _size(wanted) + _size(value))
        yield from check(validator, wanted, value, schema) or ()

    return run


def _spend(steps: int) -> None:
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise TooMuch


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (list, dict)) else 0


def _unchecked(validator: Any, wanted: Any, value: Any, schema: Any) -> None:
    return None


def _additional(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
    if "patternProperties" in schema:
        return None
    return Draft202012Validator.VALIDATORS["additionalProperties"](validator, wanted, value, schema)


def _unique(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
    _spend(_size(value) ** 2)  # items that cannot be sorted are compared in pairs
    return Draft202012Validator.VALIDATORS["uniqueItems"](validator, wanted, value, schema)


_Bounded: Any = extend(
    Draft202012Validator,
    {
        **{k: _counted(check) for k, check in Draft202012Validator.VALIDATORS.items()},
        "additionalProperties": _counted(_additional),
        "uniqueItems": _counted(_unique),
        **dict.fromkeys(LEFT_OUT, _unchecked),
    },
)
