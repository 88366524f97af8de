"""Reads a run back from ``report.json``; figures are computed anew, never believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from coterie.errors import ConfigurationError
from evals.report.document import FORMAT
from evals.results import ItemResult, RunInfo, RunResult

NAME = "report.json"


class _Info(BaseModel):
    """:class:`RunInfo` as a file has it."""

    model_config = ConfigDict(extra="ignore")

    id: str
    task: str
    split: str
    strategy: str
    experts: tuple[str, ...]
    seed: int = 0
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    seconds: dict[str, float] = {}
    loads: dict[str, int] = {}
    started: str = ""
    finished: str | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    info: _Info
    items: tuple[ItemResult, ...]


def read_run(path: Path) -> RunResult:
    """The run in a report's folder, or in its ``report.json``.

    Raises :class:`ConfigurationError` where there is none, or where it is not one.
    """
    file = path / NAME if path.is_dir() else path
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"no run in {str(path)!r}: {error.strerror or error}; "
            f"name a report's folder or its {NAME}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{str(file)!r} is not JSON: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ConfigurationError(
            f"{str(file)!r} is not a report of a run: its format is {found!r}, not {FORMAT!r}"
        )
    try:
        read = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{str(file)!r} is not a whole report: {where}: {first['msg']}"
        ) from error
    return RunResult(RunInfo(**dict(read.info)), read.items)
