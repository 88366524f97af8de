"""Who makes one answer of many best: every candidate beside the simplest rules, on equal trials.

Pure.  A trial shows several answers to one question, some of them right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.stats import Difference, Rate, paired_difference, rate

VOTE, RELIABLE, POSSIBLE = "majority vote", "most reliable shown", "any shown is right"
"""The rules: what most of those shown say; what the one says whose expert is known to be right most
often; and what whoever chose perfectly among them would reach."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What was shown in one trial: ``right`` of ``shown`` answers to the question ``item``.

    ``rules``: whether each rule, by name, comes to the right answer.
    """

    id: str
    item: str
    right: int
    shown: int
    rules: Mapping[str, bool]

    @property
    def mixed(self) -> bool:
        """Whether some were right and some wrong: where choosing matters."""
        return 0 < self.right < self.shown


@dataclass(frozen=True, slots=True)
class Standing:
    """How one candidate, or rule, did: over all trials and by what they showed.

    ``answering`` is how often the candidate's own answers to the same questions are right, and
    ``gain`` how much better it aggregates than the majority vote of those shown, on the trials it
    was asked; None for rules, and where nothing is known.
    """

    name: str
    all: Rate
    mixed: Rate
    none_right: Rate
    all_right: Rate
    answering: Rate | None = None
    gain: Difference | None = None


def standings(
    showings: Sequence[Showing],
    outcomes: Mapping[str, Mapping[str, bool]],
    answered: Mapping[str, Mapping[str, bool]],
) -> tuple[Standing, ...]:
    """The candidates, best first.

    ``outcomes``: by candidate and trial, whether it came to the right answer; ``answered``: by
    candidate and item, whether its own answer was right.
    """
    found = [
        _candidate(name, showings, outcomes[name], answered.get(name, {}))
        for name in sorted(outcomes)
    ]
    return tuple(sorted((s for s in found if s.all.n), key=lambda s: (-s.all.mean, s.name)))


def rules(showings: Sequence[Showing]) -> tuple[Standing, ...]:
    """The rules on the same trials."""
    return tuple(
        _standing(name, showings, {s.id: s.rules[name] for s in showings})
        for name in (VOTE, RELIABLE, POSSIBLE)
    )


def _candidate(
    name: str,
    showings: Sequence[Showing],
    outcomes: Mapping[str, bool],
    answered: Mapping[str, bool],
) -> Standing:
    asked = [s for s in showings if s.id in outcomes]
    own = [answered[item] for item in sorted({s.item for s in asked}) if item in answered]
    mine, vote = [outcomes[s.id] for s in asked], [s.rules[VOTE] for s in asked]
    gain = paired_difference(mine, vote) if asked else None
    return _standing(name, asked, outcomes, rate(own) if own else None, gain)


def _standing(
    name: str,
    asked: Sequence[Showing],
    outcomes: Mapping[str, bool],
    answering: Rate | None = None,
    gain: Difference | None = None,
) -> Standing:
    def of(some: Iterable[Showing]) -> Rate:
        return rate([outcomes[s.id] for s in some])

    return Standing(
        name,
        of(asked),
        of(s for s in asked if s.mixed),
        of(s for s in asked if s.right == 0),
        of(s for s in asked if s.right == s.shown),
        answering,
        gain,
    )
