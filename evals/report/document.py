"""``report.json``: everything a report holds, its items included, under names that stay.

docs/reports.md describes it; evals/report/reading.py reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from evals.compare import Comparison
from evals.report.figures import Report
from evals.results import RunResult
from evals.stats import Difference, Rate

FORMAT = "coterie-report/1"


def document(report: Report, run: RunResult) -> dict[str, Any]:
    """The report as plain values."""
    return {"format": FORMAT, **plain(report), "items": plain(run.items)}


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    return {"format": "coterie-comparison/1", **plain(comparison)}


def as_bytes(value: Mapping[str, Any]) -> bytes:
    """UTF-8, one line for every member of a list that is long."""
    parts = (f"{json.dumps(name)}: {_value(part)}" for name, part in value.items())
    # What is not Unicode at all (half of a surrogate pair) becomes a question mark.
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode("utf-8", "replace")


def _value(part: Any) -> str:
    if isinstance(part, list) and part:
        return "[\n" + ",\n".join(map(_line, part)) + "\n]"
    return _line(part)


def _line(part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """``value`` as dicts, lists and scalars, rates and differences as they are named everywhere.

    JSON has no numbers that are not finite: they become null.
    """
    if isinstance(value, Rate):
        ci95 = [value.low, value.high]
        return {"mean": value.mean, "ci95": ci95, "correct": value.correct, "n": value.n}
    if isinstance(value, Difference):
        return {"delta": value.mean, "ci95": [value.low, value.high], "n": value.n}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not isfinite(value) else value
