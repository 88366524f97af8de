"""Accuracy against cost: one point for each way to answer the questions.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.report.baselines import Kind
from evals.report.plots import NARROW, Spec, chart
from evals.stats import Rate

SHAPES = {
    Kind.RUN: "circle",
    Kind.OTHER: "diamond",
    Kind.BASELINE: "square",
    Kind.EXPERT: "circle",
    Kind.CEILING: "triangle-up",
}
WORDS = {
    Kind.RUN: "this run",
    Kind.OTHER: "other runs",
    Kind.BASELINE: "baselines",
    Kind.EXPERT: "experts alone",
    Kind.CEILING: "ceilings",
}
LINE_HEIGHT, LETTER_WIDTH, GAP = 13, 6.2, 11
"""Of labels, in pixels: what it takes to keep them apart, and off their points."""


@dataclass(frozen=True, slots=True)
class Point:
    """A system at its cost; ``real`` if it could be had, so that it may be on the frontier."""

    name: str
    kind: Kind
    cost: float
    accuracy: Rate
    tip: str
    real: bool = True


def frontier(
    points: Sequence[Point], width: int, title: str, *, dollars: bool = False, legend: bool = True
) -> Spec:
    """The points, and the line no real one is above and to the left of."""
    height = 380 if width > NARROW else 300
    log = _spreads([p.cost for p in points])
    domain = _heights(points)
    kinds = [k for k in WORDS if any(p.kind is k for p in points)]
    values = [
        {
            "x": p.cost, "y": p.accuracy.mean, "low": p.accuracy.low, "high": p.accuracy.high,
            "kind": WORDS[p.kind], "tip": p.tip,
        }
        for p in points
    ]  # fmt: skip
    scale = {"type": "log", "nice": False} if log else {"zero": False, "nice": True}
    x = {
        "type": "quantitative", "title": title, "scale": {**scale, "padding": 28},
        "axis": {"format": "$.3~g" if dollars else ".3~s", "tickCount": 5, "labelOverlap": True},
    }  # fmt: skip
    y = {
        "type": "quantitative", "title": "accuracy", "scale": {"domain": domain, "nice": False},
        "axis": {"format": ".0%", "tickCount": 6},
    }  # fmt: skip
    words = [WORDS[k] for k in kinds]
    key = {"orient": "top", "title": None, "columns": 0 if width > NARROW else 3}
    shown = key if legend and len(kinds) > 1 else None
    colour = {
        "field": "kind", "legend": shown,
        "scale": {"domain": words, "range": [f"var(--{k.value})" for k in kinds]},
    }  # fmt: skip
    shape = {
        "field": "kind", "legend": shown,
        "scale": {"domain": words, "range": [SHAPES[k] for k in kinds]},
    }  # fmt: skip
    size = {
        "condition": {"test": f"datum.kind === '{WORDS[Kind.RUN]}'", "value": 220}, "value": 90
    }  # fmt: skip
    at = {"x": {"field": "x", **x}, "y": {"field": "y", **y}}
    layers: list[Spec] = [
        {
            "data": {"values": _line(points)},
            "mark": {
                "type": "line", "interpolate": "step-after", "color": "var(--muted)",
                "strokeWidth": 1.2, "strokeDash": [3, 3], "aria": False,
            },
            "encoding": at,
        },
        {
            "mark": {"type": "rule", "strokeWidth": 1.4, "opacity": 0.55, "aria": False},
            "encoding": {
                "x": {"field": "x", **x}, "y": {"field": "low", **y}, "y2": {"field": "high"},
                "color": colour,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "opacity": 1, "stroke": "var(--paper)"},
            "encoding": {
                **at, "color": colour, "shape": shape, "size": size, "description": {"field": "tip"}
            },
        },
    ]  # fmt: skip
    for side, labels in _labels(points, domain, width, height, log).items():
        text = {
            "type": "text", "align": side, "dx": GAP if side == "left" else -GAP, "fontSize": 11.5,
            "color": "var(--ink)", "aria": False, "limit": width * 0.4,
        }  # fmt: skip
        encoding = {**at, "text": {"field": "text"}}
        layers.append({"data": {"values": labels}, "mark": text, "encoding": encoding})
    return chart(layers, width, values, height)


def _spreads(costs: Sequence[float]) -> bool:
    """Whether costs are so different that only a logarithmic axis shows them all."""
    return min(costs) > 0 and max(costs) / min(costs) > 12


def _heights(points: Sequence[Point]) -> list[float]:
    low, high = min(p.accuracy.low for p in points), max(p.accuracy.high for p in points)
    room = 0.06 * (high - low) + 0.005
    return [max(0.0, low - room), min(1.0, high + room)]


def _line(points: Sequence[Point]) -> list[Spec]:
    """The frontier's corners, from left to right."""
    found: list[Spec] = []
    for point in sorted((p for p in points if p.real), key=lambda p: (p.cost, -p.accuracy.mean)):
        if not found or point.accuracy.mean > found[-1]["y"]:
            found.append({"x": point.cost, "y": point.accuracy.mean})
    if found:
        found.append({"x": max(p.cost for p in points), "y": found[-1]["y"]})
    return found


def _labels(
    points: Sequence[Point], domain: Sequence[float], width: int, height: int, log: bool
) -> dict[str, list[Spec]]:
    """Names beside the points, by their alignment, moved apart where they would overlap, and left
    out where there is no room.

    On a phone, and where there are many, experts are told by pointing at them.
    """
    experts = sum(p.kind is Kind.EXPERT for p in points)
    crowd = width <= NARROW or experts > 8
    shown = [p for p in points if not (crowd and p.kind is Kind.EXPERT)]
    across = _positions([p.cost for p in points], [p.cost for p in shown], width - 110, log)
    per_pixel = (domain[1] - domain[0]) / height
    # Every point is an obstacle, then every label that has its place.
    everybody = _positions([p.cost for p in points], [p.cost for p in points], width - 110, log)
    taken = [
        (place - 7, place + 7, p.accuracy.mean / per_pixel)
        for p, place in zip(points, everybody, strict=True)
    ]
    found: dict[str, list[Spec]] = {"left": [], "right": []}
    order = list(WORDS)
    ranked = sorted(zip(shown, across, strict=True), key=lambda row: order.index(row[0].kind))
    for point, place in ranked:
        text = point.name if len(point.name) <= 30 else f"{point.name[:29]}…"
        side = "left" if place < 0.6 * (width - 110) else "right"
        long = LETTER_WIDTH * len(text) + GAP
        begin, end = (place + GAP, place + long) if side == "left" else (place - long, place - GAP)
        level = _free(taken, begin, end, point.accuracy.mean / per_pixel)
        if level is not None:
            taken.append((begin, end, level))
            found[side].append({"x": point.cost, "y": level * per_pixel, "text": text})
    return found


def _free(
    taken: Sequence[tuple[float, float, float]], begin: float, end: float, at: float
) -> float | None:
    """The level nearest to ``at`` where a label from ``begin`` to ``end`` touches nothing; None if
    that is so far off that nobody would know whose label it is."""
    near = [level for left, right, level in taken if left < end and begin < right]
    moves = sorted((step * LINE_HEIGHT / 4 for step in range(-6, 7)), key=abs)
    free = (at + m for m in moves if all(abs(at + m - level) >= LINE_HEIGHT for level in near))
    return next(free, None)


def _positions(
    all_costs: Sequence[float], costs: Sequence[float], width: float, log: bool
) -> list[float]:
    """Where costs are on the axis, roughly, in pixels."""
    from math import log as ln

    def on_axis(cost: float) -> float:
        return ln(cost) if log else cost

    low, high = on_axis(min(all_costs)), on_axis(max(all_costs))
    return [width * (on_axis(c) - low) / (high - low or 1.0) for c in costs]
