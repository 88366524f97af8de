"""The form of the reply, told in words."""

from __future__ import annotations

from typing import Any

import pytest

from aggregator.reply_format import reply_format

TOOLS = {"tools": [{"type": "function", "function": {"name": "add"}}]}


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({}, ""),
        ({"logprobs": True, "response_format": {"type": "text"}}, ""),
        ({"response_format": {"type": "json_object"}}, "JSON alone"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "schema: {}"),
        ({"response_format": {"type": "json_schema"}}, "JSON alone"),
        ({"response_format": "nonsense"}, ""),
        (TOOLS, "none of them was made"),
        ({**TOOLS, "tool_choice": "none"}, ""),
        ({**TOOLS, "tool_choice": "required"}, "must be a call."),
        ({**TOOLS, "tool_choice": {"type": "function", "function": {"name": "add"}}}, "of add."),
        ({"structured_outputs": {"regex": "[0-9]+"}}, "constrained"),
    ],
)
def test_what_is_demanded_is_told(extra: dict[str, Any], told: str) -> None:
    found = reply_format(extra)
    assert told in found
    assert bool(told) == bool(found)
