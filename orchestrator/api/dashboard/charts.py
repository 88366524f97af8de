"""A chart as data: drawn by the browser, and always beside it the same numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one set of bars: a value for each of the chart's labels, None where unknown."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """``labels`` along the x axis, ``unit`` of every value.

    ``stacked`` adds the series up, where they are parts of one whole.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: str
    kind: Literal["line", "bar"] = "line"
    stacked: bool = False

    def as_data(self) -> dict[str, Any]:
        """What ``charts.js`` reads."""
        return {
            "kind": self.kind,
            "labels": list(self.labels),
            "series": [{"name": s.name, "values": list(s.values)} for s in self.series],
            "unit": self.unit,
            "stacked": self.stacked,
        }

    @property
    def rows(self) -> list[tuple[str, list[float | None]]]:
        """The table: a row for each label."""
        return [(label, [s.values[i] for s in self.series]) for i, label in enumerate(self.labels)]

    @property
    def is_empty(self) -> bool:
        return not any(v for s in self.series for v in s.values)
