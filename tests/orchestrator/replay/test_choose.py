"""What is chosen by cross-validation: what is surely better, not what was lucky."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.replay.choose import Choice, Chooser, Trial, surest
from orchestrator.replay.lesson import Lesson
from orchestrator.replay.material import Material
from orchestrator.routing import BEST_SINGLE, Policy


def trial(name: str, *right: bool) -> Trial:
    return Trial(Choice(name, "weighted", 0.0), np.array(right, dtype=float))


def test_a_small_lucky_gain_does_not_displace_what_stands_by() -> None:
    standby = trial("standby", *[True] * 50, *[False] * 50)
    # Right on 5 others, wrong on 4 that the standby had: one question more, and a gain of chance.
    lucky = trial("lucky", *[True] * 46, *[False] * 4, *[True] * 5, *[False] * 45)
    assert lucky.worth.mean() > standby.worth.mean()
    assert surest([standby, lucky]) is standby


def test_a_sure_gain_does() -> None:
    standby = trial("standby", *[True] * 50, *[False] * 50)
    better = trial("better", *[True] * 70, *[False] * 30)
    assert surest([standby, better]) is better


def test_of_two_equal_gains_the_steadier_counts_more() -> None:
    standby = trial("standby", *[True] * 50, *[False] * 50)
    steady = trial("steady", *[True] * 60, *[False] * 40)
    wild = trial("wild", *[True] * 30, *[False] * 20, *[True] * 30, *[False] * 20)
    assert steady.worth.mean() == wild.worth.mean()
    assert surest([standby, wild, steady]) is steady


def test_of_equals_the_first_is_taken_and_nothing_to_compare_is_equal() -> None:
    one, two = trial("one", True, False), trial("two", True, False)
    assert surest([one, two]) is one
    assert surest([trial("none"), trial("neither")]).choice.strategy == "none"


outcomes = st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=5)


@given(outcomes)
def test_what_is_chosen_did_no_worse_than_what_stands_by(rows: list[list[bool]]) -> None:
    trials = [trial(str(i), *row) for i, row in enumerate(rows)]
    assert surest(trials).worth.mean() >= trials[0].worth.mean()


@pytest.mark.parametrize("names", [["symbolic", BEST_SINGLE], [BEST_SINGLE, "symbolic"]])
def test_the_order_of_strategies_does_not_decide_who_stands_by(
    material: Material, names: list[str]
) -> None:
    rows = material.recording.rows("val")
    costs = np.ones(material.recording.correct.shape)
    chooser = Chooser(Lesson(material, rows), Policy(first=1, most=1), ("weighted",), costs)
    # With one call and sixty questions nothing is surely better than the best single expert.
    first, second = (chooser.strategy(names).strategy for _ in range(2))
    assert first == second
    assert chooser.vote(first).vote == "weighted"
