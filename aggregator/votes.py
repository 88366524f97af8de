"""Votes by name: a new one is one module and one line here.

In the order of preference: among votes that do equally well, the first is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aggregator.base import Vote
from aggregator.learned import Learned
from aggregator.training import Trainable, Training
from aggregator.vote import Majority, Weighted
from coterie.errors import ConfigurationError

VOTES: dict[str, Callable[[], Vote | Trainable]] = {
    "weighted": Weighted,
    "majority": Majority,
    "learned": Learned,
    "learned-options": partial(Learned, "learned-options", options=True),
}


def load_vote(name: str) -> Vote | Trainable:
    """The vote called ``name``; an unknown name is refused with the names there are."""
    if name not in VOTES:
        raise ConfigurationError(f"no vote {name!r}: choose one of {', '.join(sorted(VOTES))}")
    return VOTES[name]()


def fitted_vote(name: str, training: Callable[[], Training]) -> Vote:
    """The vote called ``name``, ready to judge; ``training`` is made only if it must learn."""
    vote = load_vote(name)
    return vote.fit(training()) if isinstance(vote, Trainable) else vote


def plain_vote(name: str) -> Vote:
    """The vote called ``name``; one that must be fitted first is refused."""
    vote = load_vote(name)
    if isinstance(vote, Trainable):
        raise ConfigurationError(f"the vote {name!r} was never fitted: make a snapshot anew")
    return vote
