"""Accuracy against cost as a picture: what each way of asking gets, and for how much.

Drawn by Vega (vl-convert), which needs no browser and fetches nothing.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie.errors import ConfigurationError
from orchestrator.replay.report import Report

SUFFIXES = (".svg", ".html")
WIDTH, HEIGHT = 720, 420
MOST_LABELS = 12
"""Of more points none is labelled: the colours tell strategies apart, and labels would overlap."""
INK, MUTED = "#24292f", "#8c959f"


@dataclass(frozen=True, slots=True)
class Point:
    """One way of asking: its mean ``cost`` a question, its ``accuracy``, and that one's interval.

    Points of one ``strategy`` share a colour; ``label`` stands beside the point.
    """

    strategy: str
    label: str
    cost: float
    accuracy: float
    low: float
    high: float


def points_of(report: Report) -> list[Point]:
    """The results of a replay whose cost is known, and the best single expert."""
    best = report.best_single
    found = [
        Point(r.strategy, r.strategy, r.mean_cost, r.accuracy, *r.ci95)
        for r in report.results
        if r.mean_cost is not None
    ]
    if best.mean_cost is not None:
        single = Point("best expert", best.expert, best.mean_cost, best.accuracy, *best.ci95)
        found.append(single)
    return found


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other is as good as for less, from left to right."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return found


def check_file(path: Path) -> None:
    """Raises :class:`ConfigurationError` unless a picture can be written as ``path``."""
    if path.suffix not in SUFFIXES:
        raise ConfigurationError(
            f"a picture cannot be written as {str(path)!r}: end its name in .svg or .html"
        )
    _drawer()


def write_picture(path: Path, points: Sequence[Point], *, title: str, cost: str) -> None:
    """Writes the picture of ``points``; ``cost`` names the unit of their costs."""
    if not points:
        raise ConfigurationError(
            "there is nothing to draw: of no result the cost is known; complete active parameters "
            "and lengths of answers (docs/replay.md), or give prices in an experts file"
        )
    drawn = _drawer().vegalite_to_svg(specification(points, title, cost), allowed_base_urls=[])
    if path.suffix == ".html":
        drawn = PAGE.format(title=html.escape(title), drawing=drawn)
    path.write_text(drawn, encoding="utf-8")


def specification(points: Sequence[Point], title: str, cost: str) -> dict[str, Any]:
    """The picture in Vega-Lite: intervals, points, labels of the frontier, and its line."""
    best = frontier(points)
    labelled = best if len(points) <= MOST_LABELS else []
    x = {"field": "cost", "type": "quantitative", "title": cost, "scale": {"zero": False}}
    y = {"field": "accuracy", "type": "quantitative", "title": "accuracy", "scale": {"zero": False}}
    colour = {"field": "strategy", "type": "nominal", "title": None}
    values = [
        {
            **{name: getattr(p, name) for name in Point.__slots__},
            "told": f"{p.label}: {p.accuracy:.4f} [{p.low:.3f}, {p.high:.3f}] for {p.cost:,.4g}",
            "shown": p.label if p in labelled else "",
        }
        for p in points
    ]
    line = [{"cost": p.cost, "accuracy": p.accuracy} for p in best]
    # Nothing better is known beyond the last one.
    line.append({"cost": max(p.cost for p in points), "accuracy": best[-1].accuracy})
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "anchor": "start", "color": INK},
        "width": WIDTH,
        "height": HEIGHT,
        "background": "white",
        "data": {"values": values},
        "layer": [
            {
                "data": {"values": line},
                "mark": {"type": "line", "interpolate": "step-after", "color": MUTED},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "rule", "opacity": 0.5},
                "encoding": {
                    "x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": colour, "description": {"field": "told"}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 7, "dy": 9, "color": INK},
                "encoding": {"x": x, "y": y, "text": {"field": "shown"}},
            },
        ],
    }  # fmt: skip


def _drawer() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise ConfigurationError(
            "a picture needs vl-convert: pip install 'coterie[report]'"
        ) from error
    return vl_convert


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
{drawing}
</html>
"""
