"""What an expert's entry says, to be read: never a secret.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from coterie.types import Expert
from orchestrator.experts_file import entry_of

HIDDEN = "(hidden)"
_SECRET = re.compile(
    r"(^|[-_.])(key|token|secret|password|passwd|credential|authorization|auth)s?$", re.IGNORECASE
)
_PLAIN = ("max_token", "max-token", "num_token", "num-token")


def entry_lines(expert: Expert) -> list[tuple[str, str]]:
    """Fields and their values as text; of an API key, the name of its variable."""
    return [
        (name, _text(value if name == "api_key_env" else without_secrets(value)))
        for name, value in entry_of(expert).items()
        if name not in ("name", "description", "tags")
    ]


def without_secrets(value: Any) -> Any:
    """``value`` with :data:`HIDDEN` for what its name says is a secret, at any depth."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _is_secret(str(key), item) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(_SECRET.search(name)) and not name.startswith(_PLAIN)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()
    return str(value)
