"""The tasks whose fusion is measured, and the questions of each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from benchmarks.fusion import dockets, tracks
from benchmarks.fusion.splits import Maker, Split, drawn
from examples.demo_experts.sample import Sample

TASKS: Mapping[str, Maker] = {"dockets": dockets.sample, "tracks": tracks.sample}

MOST_TOKENS = 40
"""An answer has at most this many; the longest right one has fewer than 30."""


def questions(task: str, split: Split, count: int) -> list[Sample]:
    """The first ``count`` questions of ``split``."""
    return list(islice(drawn(task, TASKS[task], split), count))


def right(sample: Sample, said: str) -> bool:
    """Whether the answer's first line that says anything is the one wanted, word for word."""
    lines = [line for line in said.splitlines() if line.strip()]
    return bool(lines) and lines[0].split() == sample.answer.split()
