"""Aggregation trials: how they are made, run and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.types import (
    Completion,
    Grade,
    GradedAnswer,
    Item,
    Profile,
    Question,
    Sampling,
    Usage,
)
from skills.aggregation import Trial, trials_of
from skills.aggregation_profiler import AggregationProfiler
from skills.estimate import profiles_of

ITEMS = [Item(f"i{n}", Question.of(f"{n} + 1"), str(n + 1), "sum") for n in range(12)]


def answer(expert: str, n: int, correct: bool, output: str | None = None) -> GradedAnswer:
    said = output if output is not None else str(n + 1 if correct else f"{n} of {expert}")
    return GradedAnswer(expert, "sums", f"i{n}", (), said, said, correct, Usage(), 0.1)


def everybody(n: int) -> list[GradedAnswer]:
    """Two are right and three are wrong."""
    return [answer(e, n, e in "ab") for e in "abcde"]


ANSWERS = [a for n in range(12) for a in everybody(n)]


@given(st.permutations(ANSWERS), st.integers(0, 3))
def test_one_is_right_and_two_others_are_wrong(answers: list[GradedAnswer], seed: int) -> None:
    found = trials_of(answers, ITEMS, seed=seed)
    assert len(found) == 12
    assert found == trials_of(ANSWERS, ITEMS, seed=seed)
    for trial in found:
        assert [a.correct for a in trial.outputs].count(True) == 1
        assert len({a.expert for a in trial.outputs}) == 3
        assert {a.item for a in trial.outputs} == {trial.item.id}


def test_the_right_one_stands_anywhere() -> None:
    places = {[a.correct for a in t.outputs].index(True) for t in trials_of(ANSWERS, ITEMS)}
    assert places == {0, 1, 2}


def test_another_seed_makes_other_trials() -> None:
    assert trials_of(ANSWERS, ITEMS, seed=0) != trials_of(ANSWERS, ITEMS, seed=1)


def test_fewer_trials_are_the_first_of_more() -> None:
    assert trials_of(ANSWERS, ITEMS, limit=5) == trials_of(ANSWERS, ITEMS)[:5]


@pytest.mark.parametrize("nothing", ["", " \n", "<think>long</think>\n"])
def test_an_empty_output_is_never_shown(nothing: str) -> None:
    answers = [answer("a", 0, True), answer("b", 0, False), answer("c", 0, False, nothing)]
    assert trials_of(answers, ITEMS) == ()
    [trial] = trials_of([*answers, answer("d", 0, False)], ITEMS)
    assert {a.expert for a in trial.outputs} == {"a", "b", "d"}


def test_a_question_that_nobody_or_everybody_got_right_makes_no_trial() -> None:
    answers = [answer(e, 0, True) for e in "abc"] + [answer(e, 1, False) for e in "abc"]
    assert trials_of(answers, ITEMS) == ()


# --- running them -------------------------------------------------------------------------------


@dataclass
class Kept:
    """An answer store in memory."""

    kept: list[GradedAnswer] = field(default_factory=list)

    async def answered_items(self, expert: str, task: str) -> set[str]:
        return {a.item for a in self.kept if (a.expert, a.task) == (expert, task)}

    async def save_answers(self, answers: Sequence[GradedAnswer]) -> None:
        self.kept.extend(answers)


@dataclass
class Chooser:
    """Repeats one of the outputs it is shown: the right one, or the first."""

    name: str
    knows: bool
    asked: int = 0

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        self.asked += 1
        asked, *shown = question.text.splitlines()
        right = str(int(asked.split()[0]) + 1)
        said = right if self.knows and right in shown else shown[0]
        return Completion(self.name, said, "stop", Usage(9, 1), 0.1)


def prompt(question: Question, outputs: Sequence[Completion]) -> Question:
    return Question.of("\n".join([question.text, *(o.text for o in outputs)]))


def grade(item: Item, output: str) -> Grade:
    return Grade(output == item.target, output)


async def run(store: Kept, trials: Sequence[Trial], *engines: Chooser) -> dict[str, Profile]:
    profiler = AggregationProfiler("sums", prompt, grade, store)
    await profiler.run({e.name: e for e in engines}, trials)  # type: ignore[misc]
    return {p.expert: p for p in profiles_of(store.kept)}


async def test_who_finds_the_right_one_aggregates_well() -> None:
    store = Kept(list(ANSWERS))
    found = await run(store, trials_of(ANSWERS, ITEMS), Chooser("a", True), Chooser("c", False))
    good, poor = found["a"].aggregation, found["c"].aggregation
    assert good is not None
    assert poor is not None
    assert poor.mean < 0.6 < 0.8 < good.mean < 1  # shrunken: twelve trials prove nothing for sure
    assert good.n == 12
    assert found["b"].aggregation is None
    assert found["c"].overall.n == 12
    assert found["c"].overall.mean < 0.2
    assert {a.task for a in store.kept} == {"sums", "aggregation/sums"}


async def test_a_trial_that_was_answered_is_not_asked_again() -> None:
    store, trials = Kept(list(ANSWERS)), trials_of(ANSWERS, ITEMS)
    await run(store, trials[:4], Chooser("a", True))
    again = Chooser("a", True)
    await run(store, trials, again)
    assert again.asked == 8
