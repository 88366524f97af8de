"""Draws docs/frontier.svg from the cost ladder in docs/results.md.

    python benchmarks/frontier.py

Reads the rows of "Accuracy and cost"; measures nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.replay.picture import Point, write_picture

DOCS = Path(__file__).parents[1] / "docs"
ROW = re.compile(
    r"^\| (?P<cost>\d+)% \| *●? *\| `(?P<strategy>[^`]+)` \| (?P<knob>[^|]*) "
    r"\| (?P<mean>\.\d+) \[(?P<low>\.\d+), (?P<high>\.\d+)\]",
    re.MULTILINE,
)


def ladder(text: str) -> list[Point]:
    """The rows of the ladder as points; costs in per cent of the best single expert's."""
    return [
        Point(
            row["strategy"],
            f"{row['strategy']} {row['knob'].strip()}".strip(),
            float(row["cost"]),
            *(float(row[name]) for name in ("mean", "low", "high")),
        )
        for row in ROW.finditer(text)
    ]


if __name__ == "__main__":
    write_picture(
        DOCS / "frontier.svg",
        ladder((DOCS / "results.md").read_text(encoding="utf-8")),
        title="MMLU-Pro, sixteen models: accuracy and cost",
        cost="cost, % of the best single expert's",
    )
