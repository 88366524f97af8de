"""What is trained on, what plans are chosen on, what is reported: no phrasing, no answer in two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Literal, TypeAlias
from zlib import crc32

from examples.demo_experts.sample import Sample

Split: TypeAlias = Literal["train", "val", "test"]

Maker: TypeAlias = Callable[[Random, Split], Sample]

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
           "eleven", "twelve")  # fmt: skip

SEEDS: dict[Split, int] = {"train": 1, "val": 2, "test": 3}


def drawn(name: str, maker: Maker, split: Split) -> Iterator[Sample]:
    """Endless samples of ``split``, no question twice; an answer belongs to one split alone."""
    rng, seen = Random(f"fusion {name} {split} {SEEDS[split]}"), set[str]()
    while True:
        sample = maker(rng, split)
        if sample.prompt not in seen and belongs(sample.answer) == split:
            seen.add(sample.prompt)
            yield sample


def belongs(answer: str) -> Split:
    """The split that may ask for this answer: half of all are trained on."""
    return ("train", "train", "val", "test")[crc32(answer.encode()) % 4]


def spoken(rng: Random, minutes: int) -> str:
    """A time of day in quarters of an hour, as somebody says or writes it."""
    hour, minute = divmod(minutes, 60)
    if rng.random() < 0.3:
        return f"{hour}:{minute:02d}"
    half = "pm" if hour >= 12 else "am"
    if rng.random() < 0.4:
        shown = f":{minute:02d}" if minute else ""
        return f"{_twelve(hour)}{shown} {half}"
    told = {0: "{h}", 15: "quarter past {h}", 30: "half past {h}", 45: "quarter to {next}"}[minute]
    told = told.format(h=NUMBERS[_twelve(hour)], next=NUMBERS[_twelve(hour + 1)])
    return f"{told} in the {_part(minutes)}"


def _twelve(hour: int) -> int:
    return (hour - 1) % 12 + 1


def _part(minutes: int) -> str:
    if minutes < 12 * 60:
        return "morning"
    return "afternoon" if minutes < 18 * 60 else "evening"
