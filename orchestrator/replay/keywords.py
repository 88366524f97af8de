"""Recorded keywords: the skills an LLM once named for each question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError
from skills.keywords import parse_keywords


def load_keywords(path: Path) -> dict[str, tuple[str, ...]]:
    """Keywords by question id, from lines of ``{"qid": ..., "keywords": [...]}``, made plain."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"keywords cannot be read from {str(path)!r}: {error}") from error
    return dict(
        _entry(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
    )


def _entry(line: str, place: str) -> tuple[str, tuple[str, ...]]:
    try:
        entry: Any = json.loads(line)
        words = [str(word) for word in entry["keywords"]]
        return str(entry["qid"]), parse_keywords("\n".join(words))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f'{place}: not {{"qid": ..., "keywords": [...]}}: {error!r}'
        ) from None
