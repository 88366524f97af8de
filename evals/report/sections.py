"""What a report's page shows, in its order: figures, each with its plots and its table.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evals.report import grids
from evals.report.baselines import BEST, Kind, System
from evals.report.figures import Report
from evals.report.frontier import Point, frontier
from evals.report.grids import Grid
from evals.report.plots import (
    MOST_ROWS,
    NARROW,
    WIDE,
    Bar,
    Line,
    Part,
    Spec,
    bars,
    forest,
    reliability,
    stacks,
)
from evals.report.words import (
    COST_TITLES,
    duration,
    interval,
    money,
    p_value,
    percent,
    points,
    scaled,
    unique,
)
from evals.spending import Unit
from evals.stats import Calibration


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot for pages and one for phones (or one for both), and the same in a table."""

    id: str
    title: str
    caption: str
    wide: Spec | None
    narrow: Spec | None
    grid: Grid


def figures_of(report: Report) -> tuple[Figure, ...]:
    """All that there is something to show for."""
    makers = (_frontier, _differences, _categories, _experts, _expected, _agreement, _stages)
    return tuple(figure for make in makers if (figure := make(report)) is not None)


def both(make: Callable[[int], Spec]) -> tuple[Spec, Spec]:
    return make(WIDE), make(NARROW)


def _frontier(report: Report) -> Figure | None:
    unit = report.summary.unit
    shown = [s for s in _once(report.systems) if s.accuracy.n and s.cost is not None]
    if not shown:
        return None
    names = unique(s.name for s in shown)
    all_points = [_point(s, name, unit) for s, name in zip(shown, names, strict=True)]
    wide, narrow = both(
        lambda width: frontier(all_points, width, COST_TITLES[unit], dollars=unit is Unit.USD)
    )
    caption = (
        "Up and to the left is better. Vertical lines are 95 % intervals; the dashed line is the "
        "best that can be had for the money."
    )
    return Figure(
        "frontier", "Accuracy and cost", caption, wide, narrow, grids.systems_grid(report)
    )


def _once(systems: Sequence[System]) -> list[System]:
    """Without the best single expert's other name."""
    best = {BEST + s.name for s in systems if s.kind is Kind.EXPERT} & {s.name for s in systems}
    return [s for s in systems if not (s.kind is Kind.EXPERT and BEST + s.name in best)]


def _point(s: System, name: str, unit: Unit) -> Point:
    cost = scaled(s.cost or 0.0, unit)
    tip = f"{name}: {interval(s.accuracy)}, {s.accuracy.n:,} questions, {s.calls:.2f} calls, "
    tip += f"{money(s.cost, unit)} {COST_TITLES[unit].removeprefix('US$ ')}"
    return Point(name, s.kind, cost, s.accuracy, tip, real=s.kind is not Kind.CEILING)


def _differences(report: Report) -> Figure | None:
    shown = [
        s for s in _once(report.systems) if s.versus is not None and s.kind is not Kind.CEILING
    ]
    if not shown:
        return None
    lines = []
    for s, name in zip(shown, unique(s.name for s in shown), strict=True):
        assert s.versus is not None
        d, test = s.versus.difference, s.versus.mcnemar
        tip = f"this run minus {name}: {points(d)} points, {s.versus.n:,} questions"
        tip += f", McNemar p {p_value(test.p)}" if test else ""
        lines.append(Line(name, d.mean, d.low, d.high, tip))
    wide, narrow = both(lambda width: forest(lines[:MOST_ROWS], width, "this run minus the other"))
    caption = (
        "How much more accurate this run is, on the same questions. An interval that does not "
        "touch zero is coloured. Intervals and p-values are not corrected for their number."
    )
    grid = grids.differences_grid(report)
    return Figure("differences", "Against the alternatives", caption, wide, narrow, grid)


def _categories(report: Report) -> Figure | None:
    shown = report.categories[:MOST_ROWS]
    if not shown:
        return None
    rows = []
    for c, name in zip(shown, unique(c.category for c in shown), strict=True):
        tip = f"{name}: {interval(c.accuracy)}, {c.accuracy.correct} of {c.accuracy.n}"
        single = c.best_single
        says = f"best single expert on {name}: {interval(single)}" if single else ""
        rows.append(Bar(name, c.accuracy, tip, single.mean if single else None, says))
    wide, narrow = both(lambda width: bars(rows, width, "accuracy"))
    caption = "Lines are 95 % intervals."
    if any(c.best_single for c in shown):
        caption += " The diamond is the best single expert."
    caption += _cut(len(report.categories), "categories")
    grid = grids.categories_grid(report)
    return Figure("categories", "By category", caption, wide, narrow, grid)


def _experts(report: Report) -> Figure | None:
    shown = [e for e in report.experts if e.asked][:MOST_ROWS]
    if not shown:
        return None
    parts: list[Part] = []
    for e, name in zip(shown, unique(e.expert for e in shown), strict=True):
        right, wrong = int(e.right.correct), int(e.right.n - e.right.correct)
        of = f"{name}: asked {e.asked:,} times ({percent(e.share)} of the questions)"
        parts.append(Part(name, "right", "good", right, f"{of}, right {interval(e.right)}"))
        parts.append(Part(name, "wrong", "bad", wrong, f"{of}, wrong on {wrong:,}"))
        ungraded = max(0, e.asked - right - wrong)
        parts.append(Part(name, "not graded", "none", ungraded, f"{of}, {ungraded:,} not graded"))
    if not any(p.value for p in parts if p.what == "not graded"):
        parts = [p for p in parts if p.what != "not graded"]
    wide, narrow = both(lambda width: stacks(parts, width, "questions asked"))
    caption = (
        "How often each expert was asked, and how its own answers were. Each was asked what it was "
        "thought to be good at: do not compare their rates."
    ) + _cut(len(report.experts), "experts")
    grid = grids.experts_grid(report)
    return Figure("experts", "Who was asked", caption, wide, narrow, grid)


def _expected(report: Report) -> Figure | None:
    what = "What routes foretold"
    return _reliability("expected", what, "expected success", report.expected)


def _agreement(report: Report) -> Figure | None:
    return _reliability("agreement", "What votes agreed on", "agreement", report.agreement)


def _reliability(id: str, title: str, what: str, found: Calibration | None) -> Figure | None:
    if found is None:
        return None
    tips = [
        f"foretold {percent(b.foretold)}, were right {interval(b.actual)}, {b.actual.n:,} questions"
        for b in found.bins
    ]
    caption = (
        f"Foretold {percent(found.foretold)} on average, {percent(found.actual.mean)} were right "
        f"({found.n:,} questions). Expected calibration error {100 * found.ece:.1f} points, "
        f"Brier score {found.brier:.3f}. On the dashed line, chances are what they say."
    )
    spec = reliability(found, tips, NARROW, what)
    return Figure(id, title, caption, spec, None, grids.calibration_grid(found))


def _stages(report: Report) -> Figure | None:
    if not report.stages:
        return None
    shown = report.stages[:MOST_ROWS]
    parts = [
        Part(
            name, "seconds", "run", s.seconds, f"{name}: {duration(s.seconds)}, {percent(s.share)}"
        )
        for s, name in zip(shown, unique(s.name for s in shown), strict=True)
    ]
    wide, narrow = both(lambda width: stacks(parts, width, "seconds"))
    loads = sum(e.loads for e in report.experts)
    wall = report.summary.seconds
    caption = f"{duration(sum(s.seconds for s in report.stages))} of work"
    caption += f" in {duration(wall)} from start to end" if wall is not None else ""
    caption += f"; {loads:,} loads of engines." if loads else "."
    grid = grids.stages_grid(report)
    return Figure("time", "Where time went", caption, wide, narrow, grid)


def _cut(there: int, what: str) -> str:
    if there <= MOST_ROWS:
        return ""
    return f" The plot shows {MOST_ROWS} of {there:,} {what}, the table all."


def tiles(report: Report) -> Sequence[tuple[str, str, str]]:
    """The run at a glance: (label, figure, what it means)."""
    s, unit = report.summary, report.summary.unit
    n = s.accuracy.n
    answered = n - s.parked
    low, high = 100 * s.accuracy.low, 100 * s.accuracy.high
    found = [
        ("accuracy", percent(s.accuracy.mean), f"95 %: {low:.1f} to {high:.1f}"),
        ("questions", f"{n:,}", f"{s.parked:,} parked" if s.parked else "none parked"),
        ("calls per question", f"{s.calls:.2f}", f"{s.most_calls} at most"),
        (COST_TITLES[unit], money(s.cost, unit), _paid(report)),
        (
            "unparsed", percent(s.unparsed / answered) if answered else "–",
            f"{s.unparsed:,} of {answered:,}; of the experts' own answers "
            f"{percent(s.unread / s.answers) if s.answers else '–'}",
        ),
    ]  # fmt: skip
    if s.seconds is not None:
        found.append(("from start to end", duration(s.seconds), f"{s.reused:,} calls reused"))
    return found if unit is not Unit.CALLS else [t for t in found if t[0] != COST_TITLES[unit]]


def _paid(report: Report) -> str:
    s = report.summary
    if s.unit is Unit.USD:
        return f"${s.paid_usd:,.2f} paid for this run"
    return f"{s.completion_tokens:,} in all; no expert has a price"


def headline(report: Report) -> str:
    """The result in a sentence or two."""
    accuracy = report.summary.accuracy
    if not accuracy.n:
        return "The run has no results."
    if report.summary.parked == accuracy.n:
        return "Every question was parked: there are no answers to judge."
    said = f"Right on {int(accuracy.correct):,} of {accuracy.n:,} questions."
    for system in report.systems:
        if system.kind is Kind.BASELINE and system.versus and system.versus.mcnemar:
            return f"{said} {_against(system)}"
    return said


def _against(system: System) -> str:
    assert system.versus is not None
    d = system.versus.difference
    name = system.name.replace(BEST, "the best single expert, ")
    size = f"{abs(100 * d.mean):.1f} points"
    way = "more" if d.mean >= 0 else "less"
    sure = "" if d.low > 0 or d.high < 0 else ", which may be chance"
    return f"That is {size} {way} than {name} (95 %: {points(d)}){sure}."
