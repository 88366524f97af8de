"""Charts as Vega-Lite specifications: plain dicts, drawn by evals/report/drawing.py.  Pure.

Colours are CSS variables of the page, so that one drawing serves light and dark.  What a mark says
is its ``tip``: its label for screen readers, and what shows when it is pointed at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evals.stats import Calibration, Rate

Spec = dict[str, Any]

WIDE, NARROW = 760, 340
"""Widths in pixels: a page's column, and a phone."""

MOST_ROWS = 40
"""What a chart has room for; the table beside it holds everything."""

STEP = 26
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
SHARE_AXIS = {"format": ".0%", "tickCount": 5}


@dataclass(frozen=True, slots=True)
class Line:
    """A difference and its interval, for :func:`forest`."""

    name: str
    mean: float
    low: float
    high: float
    tip: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rate, for :func:`bars`; ``reference`` is marked on it."""

    name: str
    rate: Rate
    tip: str
    reference: float | None = None
    reference_tip: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stacked bar, for :func:`stacks`; ``colour`` is a variable of the page."""

    name: str
    what: str
    colour: str
    value: float
    tip: str


def forest(lines: Sequence[Line], width: int, title: str) -> Spec:
    """Differences from zero, one below the other."""
    values = [
        {
            "name": line.name, "mean": 100 * line.mean, "low": 100 * line.low,
            "high": 100 * line.high, "tip": line.tip,
            "side": "worse" if line.high < 0 else "better" if line.low > 0 else "unclear",
        }
        for line in lines
    ]  # fmt: skip
    x = {
        "type": "quantitative", "title": f"{title}, points", "scale": {"padding": 12},
        "axis": {"format": "+.3~g", "tickCount": 6},
    }  # fmt: skip
    colour = {
        "field": "side",
        "scale": _colours({"better": "good", "unclear": "muted", "worse": "bad"}),
        "legend": None,
    }
    layers = [
        _mark("rule", {"x": {"datum": 0}}, color="var(--ink)", strokeDash=[2, 3], aria=False),
        _mark(
            "rule", {"x": {"field": "low", **x}, "x2": {"field": "high"}, "color": colour},
            strokeWidth=2, aria=False,
        ),
        _mark(
            "point", {"x": {"field": "mean", **x}, "color": colour, **_told()},
            filled=True, size=90, opacity=1,
        ),
    ]  # fmt: skip
    return _rows([line.name for line in lines], values, layers, width)


def bars(rows: Sequence[Bar], width: int, title: str) -> Spec:
    """Rates as bars with their intervals."""
    values = [
        {
            "name": row.name, "mean": row.rate.mean, "low": row.rate.low, "high": row.rate.high,
            "tip": row.tip, "reference": row.reference, "reference_tip": row.reference_tip,
        }
        for row in rows
    ]  # fmt: skip
    x = {
        "type": "quantitative", "title": title, "axis": SHARE_AXIS, "scale": {"domain": [0, 1]}
    }  # fmt: skip
    layers = [
        _mark(
            "bar", {"x": {"field": "mean", **x}, **_told()},
            color="var(--run)", opacity=0.8, cornerRadiusEnd=3, height={"band": 0.62},
        ),
        _mark(
            "rule", {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            color="var(--ink)", strokeWidth=1.5, aria=False,
        ),
    ]  # fmt: skip
    if any(row.reference is not None for row in rows):
        tick = {"x": {"field": "reference", **x}, "description": {"field": "reference_tip"}}
        layers.append(
            _mark("point", tick, shape="diamond", filled=True, size=80, opacity=1)
            | {"transform": [{"filter": "isValid(datum.reference)"}]}
        )
        layers[-1]["mark"] |= {"color": "var(--baseline)", "stroke": "var(--paper)"}
    return _rows([row.name for row in rows], values, layers, width)


def stacks(parts: Sequence[Part], width: int, title: str) -> Spec:
    """Amounts of several kinds, one bar for each name."""
    values = [
        {"name": p.name, "what": p.what, "value": p.value, "tip": p.tip, "order": i}
        for i, p in enumerate(parts)
    ]
    kinds = {p.what: p.colour for p in parts}
    legend = {"orient": "top", "title": None, "columns": 0 if width > NARROW else 2}
    encoding = {
        "x": {
            "field": "value", "type": "quantitative", "title": title, "stack": "zero",
            "axis": {"tickCount": 5},
        },
        "color": {
            "field": "what", "scale": _colours(kinds), "legend": legend if len(kinds) > 1 else None
        },
        "order": {"field": "order"},
        **_told(),
    }  # fmt: skip
    bar = _mark("bar", encoding, height={"band": 0.62}, stroke="var(--paper)", strokeWidth=0.5)
    return _rows(list(dict.fromkeys(p.name for p in parts)), values, [bar], width)


def reliability(found: Calibration, tips: Sequence[str], width: int, title: str) -> Spec:
    """Foretold probabilities against what happened; on the diagonal they are the same."""
    values = [
        {
            "x": b.foretold, "y": b.actual.mean, "low": b.actual.low, "high": b.actual.high,
            "n": b.actual.n, "tip": tip,
        }
        for b, tip in zip(found.bins, tips, strict=True)
    ]  # fmt: skip
    x = {"type": "quantitative", "title": title, "axis": SHARE_AXIS, "scale": {"domain": [0, 1]}}
    y = {**x, "title": "were right"}
    size = {
        "field": "n", "type": "quantitative", "legend": None,
        "scale": {"range": [40, 320], "domainMin": 0},
    }  # fmt: skip
    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    diagonal = _mark(
        "line", {"x": {"field": "x", **x}, "y": {"field": "y", **y}},
        color="var(--muted)", strokeDash=[4, 4], strokeWidth=1, aria=False,
    )  # fmt: skip
    layers = [
        {**diagonal, "data": {"values": ends}},
        _mark(
            "rule",
            {"x": {"field": "x", **x}, "y": {"field": "low", **y}, "y2": {"field": "high"}},
            color="var(--run)", strokeWidth=1.5, opacity=0.7, aria=False,
        ),
        _mark(
            "point", {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "size": size, **_told()},
            filled=True, color="var(--run)", stroke="var(--paper)", opacity=1,
        ),
    ]  # fmt: skip
    return chart(layers, width, values, height=round(width * 0.72))


def chart(layers: Sequence[Spec], width: int, values: Sequence[Spec], height: Any) -> Spec:
    """A whole specification in the style of the page."""
    axis = {
        "aria": False, "domainColor": "var(--grid)", "gridColor": "var(--grid)", "ticks": False,
        "labelColor": "var(--ink)", "labelFontSize": 12, "labelPadding": 6,
        "titleColor": "var(--muted)", "titleFontSize": 12, "titleFontWeight": "normal",
        "titlePadding": 10,
    }  # fmt: skip
    legend = {
        "aria": False, "labelColor": "var(--ink)", "labelFontSize": 12, "symbolStrokeWidth": 0,
        "labelLimit": 200, "symbolOpacity": 1, "rowPadding": 4, "columnPadding": 14, "offset": 8,
    }  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 2,
        "background": None,
        "data": {"values": list(values)},
        "layer": list(layers),
        "config": {
            "font": FONT,
            "axis": axis,
            "axisY": {"labelLimit": 230 if width > NARROW else 120},
            "legend": legend,
            "view": {"stroke": None},
        },
    }


def _rows(names: Sequence[str], values: Sequence[Spec], layers: list[Spec], width: int) -> Spec:
    """Layers that share one row for each name, in the order given."""
    y = {
        "field": "name", "type": "nominal", "sort": list(names), "title": None,
        "axis": {"grid": False, "domain": False},
    }  # fmt: skip
    for layer in layers:
        if "datum" not in layer["encoding"].get("x", {}):
            layer["encoding"]["y"] = y
    return chart(layers, width, values, height={"step": STEP})


def _mark(kind: str, encoding: Spec, **style: Any) -> Spec:
    return {"mark": {"type": kind, **style}, "encoding": encoding}


def _told() -> Spec:
    return {"description": {"field": "tip"}}


def _colours(kinds: dict[str, str]) -> Spec:
    return {"domain": list(kinds), "range": [f"var(--{colour})" for colour in kinds.values()]}
