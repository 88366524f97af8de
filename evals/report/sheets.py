"""CSV files for spreadsheets: items, experts and categories."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from evals.report.figures import Report
from evals.results import ItemResult, RunResult
from evals.stats import Rate

Cell = str | int | float | bool | None
Rows = Iterable[Sequence[Cell]]

ITEMS = (
    "item", "category", "correct", "extracted", "leader", "expected", "agreement", "calls",
    "asked", "prompt_tokens", "completion_tokens", "cost_usd", "reused", "error",
)  # fmt: skip
EXPERTS = (
    "expert", "asked", "share", "graded", "right", "rate", "low", "high", "led", "aggregated",
    "unread", "reused", "prompt_tokens", "completion_tokens", "cost", "latency_s", "loads",
)  # fmt: skip
CATEGORIES = (
    "category", "n", "correct", "rate", "low", "high", "parked", "unparsed", "calls", "cost",
)  # fmt: skip


def sheets(report: Report, run: RunResult) -> Mapping[str, bytes]:
    """The content of each file by its name."""
    return {
        "items.csv": _sheet(ITEMS, map(_item, run.items)),
        "experts.csv": _sheet(EXPERTS, _experts(report)),
        "categories.csv": _sheet(CATEGORIES, _categories(report)),
    }


def _item(item: ItemResult) -> Sequence[Cell]:
    calls = item.calls
    asked = " ".join(dict.fromkeys(call.expert for call in calls if call.role == "answer"))
    return (
        item.item, item.category, item.correct, item.extracted, item.leader, item.expected,
        item.agreement, len(calls), asked, sum(call.prompt_tokens for call in calls),
        sum(call.completion_tokens for call in calls), sum(call.cost_usd for call in calls),
        sum(call.reused for call in calls), item.error,
    )  # fmt: skip


def _experts(report: Report) -> Rows:
    for e in report.experts:
        yield (
            e.expert, e.asked, e.share, e.right.n, *_rate(e.right), e.led, e.aggregated, e.unread,
            e.reused, e.prompt_tokens, e.completion_tokens, e.cost, e.latency_s, e.loads,
        )  # fmt: skip


def _categories(report: Report) -> Rows:
    for c in report.categories:
        counts = (c.parked, c.unparsed, c.calls, c.cost)
        yield (c.category, c.accuracy.n, *_rate(c.accuracy), *counts)


def _rate(rate: Rate) -> Sequence[Cell]:
    return rate.correct, rate.mean, rate.low, rate.high


def _sheet(names: Sequence[str], rows: Rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _harmless(cell: Cell) -> Cell:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\0", "\ufffd")
    dangerous = cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not _is_number(cell)
    return f"'{cell}" if dangerous else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
