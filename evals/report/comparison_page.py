"""A comparison for people: on a page, and on a terminal.  Pure but for the drawing."""

from __future__ import annotations

from evals.compare import Comparison, Pair, Side
from evals.report import grids
from evals.report.baselines import Kind
from evals.report.frontier import Point, frontier
from evals.report.page import drawn, in_rows, page
from evals.report.plots import MOST_ROWS, Line, Spec, forest
from evals.report.sections import Figure, both
from evals.report.words import (
    COST_TITLES,
    interval,
    legible,
    money,
    p_value,
    points,
    scaled,
    unique,
)
from evals.spending import Unit


def comparison_page(comparison: Comparison, *, script: bool = True) -> str:
    """The page; needs nothing else, as a report's."""
    figures = [_frontier(comparison), _pairs(comparison)]
    figures += [_categories(pair, n, comparison) for n, pair in enumerate(comparison.pairs)]
    shown, trouble = drawn(figures)
    return page(
        "comparison.html",
        with_script=script,
        title=legible(f"{comparison.task} · comparison of {len(comparison.sides)} runs"),
        comparison=comparison,
        headlines=[legible(sentence(pair), 600) for pair in comparison.pairs],
        shown=in_rows(shown),
        trouble=trouble,
        changes=grids.changes_grid(comparison),
    )


def comparison_text(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    title = legible(
        f"{comparison.task} ({comparison.split}), {comparison.n:,} questions in all runs"
    )
    parts = [
        grids.as_text(title, grids.sides_grid(comparison)),
        grids.as_text("differences", grids.pairs_grid(comparison)),
        grids.as_text("by category", grids.category_pairs_grid(comparison)),
    ]
    if comparison.changes:
        parts.append(grids.as_text("not the same in all", grids.changes_grid(comparison)))
    parts += [sentence(pair) for pair in comparison.pairs]
    return "\n\n".join(parts)


def sentence(pair: Pair) -> str:
    """What came of one pair, in words."""
    d = pair.difference
    names = f"{legible(pair.second)} is {abs(100 * d.mean):.1f} points"
    way = "more" if d.mean >= 0 else "less"
    sure = "" if d.low > 0 or d.high < 0 else " This may be chance."
    return (
        f"{names} {way} accurate than {legible(pair.first)} "
        f"(95 %: {points(d)}; McNemar p {p_value(pair.mcnemar.p)}).{sure}"
    )


def _frontier(comparison: Comparison) -> Figure:
    unit = comparison.unit
    names = unique(side.name for side in comparison.sides)
    kinds = [Kind.RUN] + [Kind.OTHER] * (len(names) - 1)
    all_points = [
        _point(side, name, kind, unit)
        for side, name, kind in zip(comparison.sides, names, kinds, strict=True)
    ]
    dollars = unit is Unit.USD

    def drawing(width: int) -> Spec:
        return frontier(all_points, width, COST_TITLES[unit], dollars=dollars, legend=False)

    wide, narrow = both(drawing)
    caption = "Up and to the left is better. Vertical lines are 95 % intervals."
    return Figure(
        "frontier", "Accuracy and cost", caption, wide, narrow, grids.sides_grid(comparison)
    )


def _point(side: Side, name: str, kind: Kind, unit: Unit) -> Point:
    tip = f"{name}: {interval(side.accuracy)}, {side.calls:.2f} calls, {money(side.cost, unit)}"
    return Point(name, kind, scaled(side.cost, unit), side.accuracy, tip)


def _pairs(comparison: Comparison) -> Figure:
    lines = []
    for pair, name in zip(
        comparison.pairs, unique(p.second for p in comparison.pairs), strict=True
    ):
        d = pair.difference
        tip = f"{name}: {points(d)} points, McNemar p {p_value(pair.mcnemar.p)}"
        lines.append(Line(name, d.mean, d.low, d.high, tip))
    first = legible(comparison.sides[0].name, 40)
    wide, narrow = both(lambda width: forest(lines[:MOST_ROWS], width, f"minus {first}"))
    caption = f"How much more accurate than {first}, on the same {comparison.n:,} questions."
    grid = grids.pairs_grid(comparison)
    return Figure("differences", "Differences", caption, wide, narrow, grid)


def _categories(pair: Pair, number: int, comparison: Comparison) -> Figure:
    shown = pair.categories[:MOST_ROWS]
    lines = []
    for c, name in zip(shown, unique(c.category for c in shown), strict=True):
        d = c.difference
        tip = f"{name}: {points(d)} points, {c.first.n:,} questions"
        lines.append(Line(name, d.mean, d.low, d.high, tip))
    wide, narrow = both(lambda width: forest(lines, width, f"minus {legible(pair.first, 40)}"))
    title = f"By category: {legible(pair.second, 60)}"
    caption = f"How much more accurate than {legible(pair.first, 60)}, category by category."
    grid = grids.category_pairs_grid(comparison)
    return Figure(f"categories-{number}", title, caption, wide, narrow, grid)
