"""A benchmark question before it has a name, and the numbers kept out of training for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from coterie.types import JSON


@dataclass(frozen=True, slots=True)
class Draft:
    """What is asked, and how the answer is graded: ``target["kind"]`` names the rule."""

    text: str
    target: Mapping[str, JSON]

    @property
    def encoded(self) -> str:
        """The target as one line of JSON, the way an item carries it."""
        return json.dumps(self.target, sort_keys=True)


Maker: TypeAlias = Callable[[Random, int], Draft]
"""Draws question number ``index``; kinds of question take turns with the index."""


def pair_held_out(a: int, b: int) -> bool:
    """Whether two operands of a sum, difference or product were kept out of training."""
    return (3 * a + 5 * b) % 7 == 2


def tenths_held_out(tenths: int) -> bool:
    """Whether a decimal amount, in tenths, was kept out of training."""
    return tenths % 7 == 3


def times_held_out(start: int, length: int) -> bool:
    """Whether a time of day and a length, in minutes, were kept out of training."""
    return (start // 5 + 3 * (length // 5)) % 7 == 2
