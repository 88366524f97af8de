"""What an aggregator is: completions in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from coterie.types import Completion, Question, Verdict


class Aggregator(Protocol):
    """Decides what several completions say together.  Pure: it asks nobody."""

    def judge(
        self, question: Question, completions: Sequence[Completion], scores: Mapping[str, float]
    ) -> Verdict:
        """``scores`` maps each expert to its expected success on this question, in [0, 1]."""
