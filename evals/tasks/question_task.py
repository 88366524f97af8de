"""A task whose questions come from files, and the rules that grade their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from coterie.errors import ConfigurationError
from coterie.types import Grade, Item
from evals.extract import LETTERS, read_choice, read_number, read_text
from evals.numbers import canonical_number
from evals.plain import plain_text
from evals.tasks.splits import in_turns

Load: TypeAlias = Callable[[], Iterable[Item]]
Grader: TypeAlias = Callable[[Item, str], Grade]


@dataclass(frozen=True, slots=True)
class QuestionTask:
    """Questions in splits, each loaded when first asked for, and the rule that grades them."""

    name: str
    loaders: Mapping[str, Load]
    grader: Grader
    secret: bool = False
    _items: dict[str, tuple[Item, ...]] = field(default_factory=dict, repr=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.loaders)

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        """The questions of ``split``, categories taking turns, cut to the first ``limit``.

        Raises:
            ConfigurationError: there is no such split, or its file is nowhere or damaged.
        """
        if split not in self.loaders:
            raise ConfigurationError(
                f"task {self.name!r} has no split {split!r}; "
                f"it has {', '.join(map(repr, self.loaders))}"
            )
        if split not in self._items:
            self._items[split] = in_turns(self.loaders[split]())
        return self._items[split][:limit]

    def grade(self, item: Item, output: str) -> Grade:
        """Whether ``output`` answers ``item``; never raises for an odd output."""
        return self.grader(item, output)


# --- graders ------------------------------------------------------------------------------------


def grade_choice(item: Item, output: str) -> Grade:
    """The target is a letter."""
    read, reading = read_choice(output, item.choices)
    return Grade(read is not None and read == item.target, read, reading)


def grade_number(item: Item, output: str) -> Grade:
    """The target is a number in canonical form, or several, one a line."""
    read, reading = read_number(output)
    return Grade(read is not None and read in item.target.split("\n"), read, reading)


def grade_text(item: Item, output: str) -> Grade:
    """The target is what may be said, one a line, as :func:`plain_text` has it."""
    read, reading = read_text(output)
    accepted = item.target.split("\n")
    return Grade(read is not None and read in map(plain_text, accepted), read, reading)


# --- questions ----------------------------------------------------------------------------------


def listed(choices: Sequence[str], form: str = "{}. {}") -> str:
    """The options with their letters, one a line."""
    return "\n".join(form.format(LETTERS[i], text) for i, text in enumerate(choices))


def numeric_target(answer: object, where: str) -> str:
    """A target for :func:`grade_number`."""
    number = canonical_number(str(answer))
    if number is None:
        raise ConfigurationError(f"{where}: the answer is no number")
    return number


def whole(value: object, where: str) -> int:
    """A whole number that may have been written as text or as a float."""
    number = canonical_number(str(value))
    if number is None or not number.lstrip("-").isdigit():
        raise ConfigurationError(f"{where}: a whole number is expected")
    return int(number)
