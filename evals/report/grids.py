"""The tables of a report, in words: beside every plot, and what a terminal shows.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie.types import JSON
from evals.compare import Comparison, flat
from evals.report.baselines import Kind, System
from evals.report.figures import Report
from evals.report.words import (
    COST_TITLES,
    amount,
    duration,
    interval,
    legible,
    money,
    p_value,
    percent,
    points,
)
from evals.results import RunInfo
from evals.spending import Unit
from evals.stats import Calibration

MOST_PARKED = 200
"""Parked items a page lists; report.json and items.csv list all."""

KINDS = {
    Kind.RUN: "this run", Kind.EXPERT: "expert alone", Kind.BASELINE: "baseline",
    Kind.CEILING: "ceiling", Kind.OTHER: "other run",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its first ``words`` columns and one called "note" are text, the others figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


def systems_grid(report: Report) -> Grid:
    """How accurate every system is, and at what cost."""
    unit = report.summary.unit
    columns = (
        "system", "what", "accuracy [95 %]", "questions", "calls", COST_TITLES[unit], "note"
    )  # fmt: skip
    rows = (
        (
            legible(s.name), KINDS[s.kind], interval(s.accuracy), f"{s.accuracy.n:,}",
            f"{s.calls:.2f}", money(s.cost, unit), legible(s.note, 300),
        )
        for s in report.systems
    )  # fmt: skip
    return Grid(columns, tuple(rows), words=2)


def differences_grid(report: Report) -> Grid:
    """The run against every other system, on the questions both have."""
    columns = (
        "this run minus", "what", "points [95 %]", "questions", "only the run right",
        "only the other right", "McNemar p",
    )  # fmt: skip
    return Grid(columns, tuple(_difference(s) for s in report.systems if s.versus), words=2)


def _difference(s: System) -> tuple[str, ...]:
    assert s.versus is not None
    test = s.versus.mcnemar
    counts = (f"{test.only_a:,}", f"{test.only_b:,}", p_value(test.p)) if test else ("–",) * 3
    gain = points(s.versus.difference)
    return (legible(s.name), KINDS[s.kind], gain, f"{s.versus.n:,}", *counts)


def categories_grid(report: Report) -> Grid:
    unit = report.summary.unit
    columns = (
        "category", "questions", "right", "accuracy [95 %]", "best single", "parked", "unparsed",
        "calls", COST_TITLES[unit],
    )  # fmt: skip
    rows = (
        (
            legible(c.category) or "(none)", f"{c.accuracy.n:,}", f"{c.accuracy.correct:,}",
            interval(c.accuracy), percent(c.best_single.mean) if c.best_single else "–",
            f"{c.parked:,}", f"{c.unparsed:,}", f"{c.calls:.2f}", money(c.cost, unit),
        )
        for c in report.categories
    )  # fmt: skip
    return Grid(columns, tuple(rows))


def experts_grid(report: Report) -> Grid:
    unit = report.summary.unit
    paid = {Unit.USD: "US$ in all", Unit.TOKENS: "output tokens", Unit.CALLS: "calls"}[unit]
    columns = (
        "expert", "asked", "of all questions", "right when asked [95 %]", "its answer stood",
        "aggregated", "unread", "reused", "prompt tokens", "output tokens", paid,
        "mean latency", "loads",
    )  # fmt: skip
    rows = (
        (
            legible(e.expert), f"{e.asked:,}", percent(e.share),
            interval(e.right) if e.right.n else "–", f"{e.led:,}", f"{e.aggregated:,}",
            f"{e.unread:,}", f"{e.reused:,}", f"{e.prompt_tokens:,}", f"{e.completion_tokens:,}",
            amount(e.cost), duration(e.latency_s), f"{e.loads:,}",
        )
        for e in report.experts
    )  # fmt: skip
    return Grid(columns, tuple(rows))


def calibration_grid(found: Calibration) -> Grid:
    columns = ("foretold", "mean foretold", "questions", "right", "were right [95 %]")
    rows = (
        (
            f"{100 * b.low:.0f}–{100 * b.high:.0f} %", percent(b.foretold), f"{b.actual.n:,}",
            f"{b.actual.correct:,}", interval(b.actual),
        )
        for b in found.bins
    )  # fmt: skip
    return Grid(columns, tuple(rows))


def stages_grid(report: Report) -> Grid:
    rows = ((legible(s.name), f"{s.seconds:,.1f}", percent(s.share)) for s in report.stages)
    return Grid(("stage", "seconds", "share"), tuple(rows))


def parked_grid(report: Report) -> Grid:
    rows = (
        (legible(p.item), legible(p.category), legible(p.error, 600))
        for p in report.parked[:MOST_PARKED]
    )
    return Grid(("item", "category", "error"), tuple(rows), words=3)


def provenance_grid(info: RunInfo) -> Grid:
    """Everything that was set, and the versions of what ran."""
    rows: list[tuple[str, JSON]] = [
        ("run", info.id), ("task", info.task), ("split", info.split),
        ("strategy", info.strategy), ("experts", list(info.experts)), ("seed", info.seed),
        ("started", info.started), ("finished", info.finished),
    ]  # fmt: skip
    rows += [(f"version of {name}", version) for name, version in info.versions.items()]
    rows += [(f"setting {name}", value) for name, value in flat(info.settings).items()]
    return Grid(("what", "value"), tuple((legible(n), _value(v)) for n, v in rows), words=2)


def sides_grid(comparison: Comparison) -> Grid:
    columns = (
        "run", "accuracy [95 %]", "questions", "others", "parked", "unparsed", "calls",
        COST_TITLES[comparison.unit],
    )  # fmt: skip
    rows = (
        (
            legible(s.name), interval(s.accuracy), f"{s.accuracy.n:,}", f"{s.elsewhere:,}",
            f"{s.parked:,}", f"{s.unparsed:,}", f"{s.calls:.2f}", money(s.cost, comparison.unit),
        )
        for s in comparison.sides
    )  # fmt: skip
    return Grid(columns, tuple(rows))


def pairs_grid(comparison: Comparison) -> Grid:
    columns = (
        "run", "than", "more accurate by, points [95 %]", "only it right", "only the other right",
        "McNemar p", "more calls", f"more {COST_TITLES[comparison.unit]}",
    )  # fmt: skip
    rows = (
        (
            legible(p.second), legible(p.first), points(p.difference), f"{p.mcnemar.only_a:,}",
            f"{p.mcnemar.only_b:,}", p_value(p.mcnemar.p), f"{p.calls:+.2f}",
            ("−" if p.cost < 0 else "+") + money(abs(p.cost), comparison.unit),
        )
        for p in comparison.pairs
    )  # fmt: skip
    return Grid(columns, tuple(rows), words=2)


def category_pairs_grid(comparison: Comparison) -> Grid:
    columns = ("run", "category", "questions", "accuracy", "than", "better by, points [95 %]")
    rows = (
        (
            legible(pair.second), legible(c.category) or "(none)", f"{c.first.n:,}",
            percent(c.second.mean), percent(c.first.mean), points(c.difference),
        )
        for pair in comparison.pairs
        for c in pair.categories
    )  # fmt: skip
    return Grid(columns, tuple(rows), words=2)


def changes_grid(comparison: Comparison) -> Grid:
    columns = ("what", *(legible(side.name) for side in comparison.sides))
    rows = tuple((legible(c.name), *map(_value, c.values)) for c in comparison.changes)
    return Grid(columns, rows, words=len(columns))


def as_text(title: str, grid: Grid, keep: Sequence[int] | None = None) -> str:
    """The table for a terminal, of the columns ``keep``."""
    chosen = range(len(grid.columns)) if keep is None else keep
    lines = [[row[i] for i in chosen] for row in (grid.columns, *grid.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = sum(i < grid.words for i in chosen)
    rows = [_aligned(line, widths, words) for line in lines]
    return "\n".join([title, rows[0], "-" * len(rows[0]), *rows[1:]])


def _aligned(line: Iterable[str], widths: Sequence[int], words: int) -> str:
    cells = zip(line, widths, strict=True)
    padded = (c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in enumerate(cells))
    return "  ".join(padded).rstrip()


def _value(value: JSON) -> str:
    if value is None:
        return "–"
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return legible(shown, 400)
