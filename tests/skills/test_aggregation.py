"""Aggregation trials: how they are made, run and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    SkillWeight,
    Usage,
)
from skills.aggregation import Trial, subject_of, trials_name, trials_of
from skills.aggregation_profiler import AggregationProfiler
from skills.archive import learn
from skills.estimate import profiles_of
from skills.questions import StoredQuestion

ITEMS = [Item(f"i{n}", Question.of(f"{n} + 1"), str(n + 1), "sum") for n in range(12)]


def answer(expert: str, n: int, correct: bool, output: str | None = None) -> GradedAnswer:
    said = output if output is not None else str(n + 1 if correct else f"{n} of {expert}")
    return GradedAnswer(expert, "sums", f"i{n}", (), said, said, correct, Usage(), 0.1)


def everybody(n: int) -> list[GradedAnswer]:
    """Two are right and three are wrong."""
    return [answer(e, n, e in "ab") for e in "abcde"]


ANSWERS = [a for n in range(12) for a in everybody(n)]


@given(st.permutations(ANSWERS), st.integers(0, 3), st.integers(2, 5))
def test_every_item_makes_a_trial_of_so_many_experts(
    answers: list[GradedAnswer], seed: int, shown: int
) -> None:
    found = trials_of(answers, ITEMS, seed=seed, shown=shown)
    assert found == trials_of(ANSWERS, ITEMS, seed=seed, shown=shown)
    assert {t.item.id for t in found} == {i.id for i in ITEMS}
    for trial in found:
        assert len({a.expert for a in trial.outputs}) == shown
        assert {a.item for a in trial.outputs} == {trial.item.id}


def test_from_none_to_all_are_right_where_that_can_be_shown() -> None:
    many = [answer(e, n, e in "abc") for n in range(12) for e in "abcdef"]
    rights = Counter(t.right for s in range(20) for t in trials_of(many, ITEMS, seed=s))
    assert set(rights) == {0, 1, 2, 3}
    assert rights[1] > rights[0]
    assert rights[2] > rights[3]


def test_the_right_one_stands_anywhere() -> None:
    found = [t for s in range(5) for t in trials_of(ANSWERS, ITEMS, seed=s) if t.right == 1]
    places = {[a.correct for a in t.outputs].index(True) for t in found}
    assert places == {0, 1, 2}


def test_a_trial_is_named_by_what_it_shows() -> None:
    [trial] = trials_of(ANSWERS, ITEMS[:1])
    assert trial.id == trials_of(ANSWERS, ITEMS[:1])[0].id
    assert trial.id.startswith(f"i0~{trial.right}of3~")
    other = [replace(a, output=f"{a.output}!") for a in ANSWERS]
    assert trials_of(other, ITEMS[:1])[0].id != trial.id
    turned = Trial(trial.item, trial.outputs[::-1])
    assert turned.id != trial.id
    about = replace(ANSWERS[0], task="aggregation/sums", item=trial.id)
    assert subject_of(about) == ("sums", "i0") == subject_of(ANSWERS[0])
    assert subject_of(replace(about, item="i0")) == ("sums", "i0")
    assert trials_name("many_sums") == "aggregation/many-sums"  # as the questions are kept


def test_another_seed_makes_other_trials() -> None:
    assert trials_of(ANSWERS, ITEMS, seed=0) != trials_of(ANSWERS, ITEMS, seed=1)


def test_fewer_trials_are_the_first_of_more() -> None:
    assert trials_of(ANSWERS, ITEMS, limit=5) == trials_of(ANSWERS, ITEMS)[:5]


@pytest.mark.parametrize("nothing", ["", " \n", "<think>long</think>\n", "<think>never done"])
def test_an_empty_output_is_never_shown(nothing: str) -> None:
    answers = [answer("a", 0, True), answer("c", 0, False, nothing)]
    assert trials_of(answers, ITEMS) == ()
    [trial] = trials_of([*answers, answer("b", 0, False)], ITEMS)
    assert {a.expert for a in trial.outputs} == {"a", "b"}


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


def prompt(expert: str, question: Question, outputs: Sequence[Completion]) -> Question:
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
    assert poor.mean < good.mean - 0.1
    assert good.mean < 1  # shrunken: twelve trials prove nothing for sure
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


async def test_skills_of_the_question_count_as_they_are_known_now() -> None:
    algebra = (SkillWeight("algebra", 1.0, 1.0),)
    kept = [replace(a, skills=algebra) for a in ANSWERS]
    store = Kept(list(kept))
    found = await run(store, trials_of(kept, ITEMS), Chooser("a", True), Chooser("c", False))
    assert found["a"].aggregation_skills["algebra"].n == 12
    assert found["a"].aggregating(algebra) > 0.7 > found["c"].aggregating(algebra)
    geometry = (SkillWeight("geometry", 1.0, 1.0),)
    now = [StoredQuestion("sums", i.id, i.question.text, skills=geometry) for i in ITEMS]
    learned = learn(now, store.kept).profiles["a"]
    assert set(learned.aggregation_skills) == {"geometry"} == set(learned.skills)


def test_a_skill_with_few_trials_stays_near_the_rate_over_all() -> None:
    def trial(expert: str, n: int, skill: str, correct: bool) -> GradedAnswer:
        weights = (SkillWeight(skill, 1.0, 1.0),)
        return replace(answer(expert, n, correct), task="aggregation/sums", skills=weights)

    often = [
        trial(e, n, f"skill-{n % 4}", (n % 5 > 0) == (e == "a")) for n in range(80) for e in "ab"
    ]
    once = [trial("a", 80, "geometry", False), trial("b", 80, "geometry", True)]
    found = {p.expert: p for p in profiles_of([*often, *once])}
    good, poor = (found[e].aggregation_skills["geometry"].mean for e in "ab")
    assert good > 0.5 > poor
    assert found["a"].aggregation_skills["skill-0"].mean > good
