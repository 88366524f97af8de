"""Which form the reply must have, in words: what a request's fields demand of whoever writes.

The fields themselves reach the writer's engine untouched, and it enforces them where it can; a
model that is told writes better inside them.  Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from coterie.types import JSON, as_jsonable

_CONSTRAINTS = ("structured_outputs", "guided_json", "guided_regex", "guided_choice")


def reply_format(extra: Mapping[str, JSON]) -> str:
    """The instruction for a request with these further fields; empty where prose will do."""
    told = (_response_format(extra.get("response_format")), _tools(extra), _constraint(extra))
    return " ".join(part for part in told if part)


def _response_format(wanted: JSON) -> str:
    if not isinstance(wanted, Mapping):
        return ""
    alone = "The reply must be JSON alone: no fence, no word before or after it."
    if wanted.get("type") == "json_object":
        return alone
    if wanted.get("type") != "json_schema":
        return ""
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    if schema is None:
        return alone
    written = json.dumps(as_jsonable(schema), ensure_ascii=False, separators=(",", ":"))
    return f"{alone} It must follow this JSON schema: {written}"


def _tools(extra: Mapping[str, JSON]) -> str:
    choice = extra.get("tool_choice")
    if not extra.get("tools") or choice == "none":
        return ""
    told = (
        "The request's tools are yours to call. Calls in the answers are proposals, none of them "
        "was made: where the right reply is a call, make it yourself."
    )
    if isinstance(choice, Mapping):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else None
        return f"{told} The reply must be a call of {name}." if name else told
    return f"{told} The reply must be a call." if choice == "required" else told


def _constraint(extra: Mapping[str, JSON]) -> str:
    if any(extra.get(name) is not None for name in _CONSTRAINTS):
        return "The reply's form is constrained: write it in that form, and nothing else."
    return ""
