"""Votes by name."""

from __future__ import annotations

import pytest

from aggregator.training import Training
from aggregator.votes import VOTES, fitted_vote, load_vote, plain_vote
from coterie.errors import ConfigurationError
from tests.aggregator.panels import Panel


def never() -> Training:
    pytest.fail("this vote learns nothing")


def small() -> Training:
    made = Panel(20)
    made.expert("ann", 0.6)
    made.expert("bob", 0.4)
    return made.training()


@pytest.mark.parametrize("name", VOTES)
def test_every_vote_has_the_name_it_is_called_by(name: str) -> None:
    assert load_vote(name).name == name
    assert fitted_vote(name, small).name == name


def test_a_name_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'plurality': choose one of learned, .*weighted"):
        load_vote("plurality")


@pytest.mark.parametrize("name", ["weighted", "majority"])
def test_what_learns_nothing_asks_for_no_training(name: str) -> None:
    assert fitted_vote(name, never).name == plain_vote(name).name == name


@pytest.mark.parametrize("name", ["learned", "learned-options"])
def test_what_must_learn_does_not_judge_before(name: str) -> None:
    with pytest.raises(ConfigurationError, match="never fitted: make a snapshot anew"):
        plain_vote(name)
