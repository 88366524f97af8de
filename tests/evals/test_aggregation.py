"""Candidates for aggregating beside the rules they must beat."""

from __future__ import annotations

from evals.aggregation import POSSIBLE, RELIABLE, VOTE, Showing, rules, standings


def showing(id: str, right: int, *, vote: bool, reliable: bool) -> Showing:
    told = {VOTE: vote, RELIABLE: reliable, POSSIBLE: right > 0}
    return Showing(id, f"q{id}", right, 3, told)


SHOWINGS = [
    showing("0", 0, vote=False, reliable=False),
    showing("1", 1, vote=False, reliable=True),
    showing("2", 2, vote=True, reliable=False),
    showing("3", 3, vote=True, reliable=True),
]


def test_candidates_come_best_first_and_are_told_apart_by_what_was_shown() -> None:
    outcomes = {
        "poor": {"0": False, "1": False, "2": False, "3": True},
        "good": {"0": True, "1": True, "2": True, "3": True},
        "new": {"2": True},
        "elsewhere": {"9": True},
    }
    answered = {"good": {"q0": False, "q1": False, "q2": True, "q3": True, "q9": True}}
    good, new, poor = standings(SHOWINGS, outcomes, answered)
    assert [s.name for s in (good, new, poor)] == ["good", "new", "poor"]
    assert (good.all.n, new.all.n, poor.all.n) == (4, 1, 4)
    assert (poor.mixed.mean, poor.none_right.mean, poor.all_right.mean) == (0, 0, 1)
    assert good.answering is not None
    assert (good.answering.correct, good.answering.n) == (2, 4)
    assert poor.answering is None
    assert good.gain is not None
    assert good.gain.mean == 0.5
    assert new.gain is not None
    assert new.gain.n == 1


def test_rules_stand_on_the_same_trials() -> None:
    vote, reliable, possible = rules(SHOWINGS)
    assert (vote.name, vote.all.mean, vote.mixed.mean) == (VOTE, 0.5, 0.5)
    assert (reliable.name, reliable.all.mean) == (RELIABLE, 0.5)
    assert (possible.name, possible.all.mean) == (POSSIBLE, 0.75)
    assert vote.gain is None
